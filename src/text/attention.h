// Attention of one decoder layer: normed and rotated queries over the layer's own or its donor's K and V (text.md 7).
// HF: Gemma3nTextAttention. The scale is 1: q_norm carries it.
#pragma once
#include "core/context.h"
#include "text/batch_plan.h"
#include "text/text_config.h"
#include "weights/binder.h"

namespace g3n {

struct Attention {
  WeightView q_proj;                    // [heads*head_dim, hidden]
  WeightView k_proj, v_proj;            // [kv_heads*head_dim, hidden]; only where the layer owns K and V
  WeightView o_proj;                    // [hidden, heads*head_dim]
  View<const float, 1> q_norm, k_norm;  // [head_dim]

  void bind(Binder& bind, const TextConfig& config, int64_t layer);
  // Queries of `rows`, and K and V where the layer owns them, then attention. x, out: [rows, hidden].
  void forward(Context& ctx, const RowSet& rows, View<const float, 2> x, View<float, 2> out) const;
  // K and V alone, for all rows of a batch: what stays of the cut layer for rows nobody wants. x: [rows, hidden].
  void append(Context& ctx, const RowSet& rows, View<const float, 2> x) const;
  // Queries alone: K and V were appended before.
  void attend(Context& ctx, const RowSet& rows, View<const float, 2> x, View<float, 2> out) const;

 private:
  void write(Context& ctx, const RowSet& rows, View<float, 2> k, View<float, 2> v) const;
  void read(Context& ctx, const RowSet& rows, View<float, 2> q, View<float, 2> out) const;

  int64_t layer_ = 0, kv_layer_ = 0, heads_ = 0, kv_heads_ = 0, head_dim_ = 0;
  LayerType type_ = LayerType::kFull;
  bool owns_kv_ = true;
  float eps_ = 0;
};

}  // namespace g3n
