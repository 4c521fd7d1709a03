// One decoder layer on the AltUp streams: predict, attention beside LAuReL, feed-forward, correct, per-layer input
// (text.md 6). HF: Gemma3nTextDecoderLayer.
#pragma once
#include "core/context.h"
#include "text/altup.h"
#include "text/attention.h"
#include "text/batch_plan.h"
#include "text/feed_forward.h"
#include "text/laurel.h"
#include "weights/binder.h"

namespace g3n {

struct DecoderLayer {
  AltUp altup;
  Laurel laurel;
  Attention attention;
  FeedForward feed_forward;
  WeightView per_layer_input_gate;                                             // [ple, hidden]
  WeightView per_layer_projection;                                             // [hidden, ple]
  View<const float, 1> input_layernorm, post_attention_layernorm;              // [hidden]
  View<const float, 1> pre_feedforward_layernorm, post_feedforward_layernorm;  // [hidden]
  View<const float, 1> post_per_layer_input_norm;                              // [hidden]

  void bind(Binder& bind, const TextConfig& config, int64_t layer);

  // streams: [streams, rows, hidden], in place; per_layer_input: [rows, ple].
  // kv_is_written: this layer's K and V of these rows were appended before (the cut).
  void forward(Context& ctx, const RowSet& rows, View<const float, 2> per_layer_input, bool kv_is_written,
               View<float, 3> streams) const;
  // K and V of all rows, nothing else: all that later rows need of rows nobody wants.
  void append_kv(Context& ctx, const RowSet& rows, View<const float, 3> h) const;

 private:
  void attend(Context& ctx, const RowSet& rows, View<const float, 2> x, bool kv_is_written, View<float, 2> out) const;
  void feed(Context& ctx, View<const float, 2> x, View<float, 2> out) const;
  void add_per_layer_input(Context& ctx, View<const float, 2> per_layer_input, View<float, 3> streams) const;

  int64_t layer_ = 0, active_ = 0;
  bool correct_scale_ = true;
  float eps_ = 0;
};

}  // namespace g3n
