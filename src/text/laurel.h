// LAuReL: a learned low-rank residual beside attention (text.md 6). HF: Gemma3nTextLaurelBlock.
#pragma once
#include "core/context.h"
#include "text/text_config.h"
#include "weights/binder.h"

namespace g3n {

struct Laurel {
  WeightView linear_left;                 // [rank, hidden]
  WeightView linear_right;                // [hidden, rank]
  View<const float, 1> post_laurel_norm;  // [hidden]

  void bind(Binder& bind, const TextConfig& config);
  // out = x + post_norm(right * (left * x)); x, out: [tokens, hidden], no aliasing.
  void forward(Context& ctx, View<const float, 2> x, View<float, 2> out) const;

 private:
  float eps_ = 0;
};

}  // namespace g3n
