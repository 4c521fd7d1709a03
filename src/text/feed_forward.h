// The gated feed-forward, dense or with Gaussian top-k sparsity (text.md 8). HF: Gemma3nTextMLP.
#pragma once
#include "core/context.h"
#include "text/text_config.h"
#include "weights/binder.h"

namespace g3n {

struct FeedForward {
  WeightView gate_proj;  // [ffn, hidden]
  WeightView up_proj;    // [ffn, hidden]; row by row where the layer is sparse
  WeightView down_proj;  // [hidden, ffn]; neuron by neuron where the layer is sparse

  void bind(Binder& bind, const TextConfig& config, int64_t layer);
  void forward(Context& ctx, View<const float, 2> x, View<float, 2> out) const;  // [tokens, hidden], no aliasing

 private:
  void forward_block(Context& ctx, View<const float, 2> x, View<float, 2> out) const;

  int64_t layer_ = 0;
  bool sparse_ = false;
  float cutoff_ = 0;  // standard deviations above the mean; a smaller gate is exactly zero
};

}  // namespace g3n
