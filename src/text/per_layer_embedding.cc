#include "text/per_layer_embedding.h"

#include <cmath>

#include "kernels/ops.h"

namespace g3n {

void PerLayerEmbedding::bind(Binder& bind, const TextConfig& config) {
  ple_ = config.hidden_size_per_layer_input, vocab_ = config.vocab_size_per_layer_input, eps_ = config.rms_norm_eps;
  const int64_t width = config.num_hidden_layers * ple_;
  bind.table("embed_tokens_per_layer.weight", embed_tokens_per_layer, {vocab_, width});
  bind.matrix("per_layer_model_projection.weight", per_layer_model_projection, {width, config.hidden_size});
  bind.vector("per_layer_projection_norm.weight", per_layer_projection_norm, ple_);
}

void PerLayerEmbedding::forward(Context& ctx, std::span<const int32_t> ids, View<const float, 2> merged,
                                int64_t first_layer, View<float, 2> out) const {
  const int64_t tokens = merged.dim[0], hidden = merged.dim[1], first = first_layer * ple_, width = out.dim[1];
  expect_shape(out, {static_cast<int64_t>(ids.size()), width}, "PerLayerEmbedding out");
  ArenaScope scope(ctx.arena);
  // The rows [first, first + width) of the projection, and those before them that the weight cannot be cut off from.
  const int64_t start = first / row_cut(per_layer_model_projection) * row_cut(per_layer_model_projection);
  const WeightView part = rows_of(per_layer_model_projection, start, first - start + width);
  View<float, 2> projected = ctx.scratch(tokens, part.rows);
  matmul(ctx, merged, part, projected);
  projected = {projected.data + (first - start), {tokens, width}, {projected.step[0], 1}};
  scale(ctx, projected, static_cast<float>(1.0 / std::sqrt(static_cast<double>(hidden))), projected);
  rms_norm(ctx, projected, per_layer_projection_norm, eps_, projected, ple_);
  int32_t* rows = ctx.arena.take<int32_t>(tokens);
  for (int64_t i = 0; i < tokens; ++i) rows[i] = ids[i] < 0 || ids[i] >= vocab_ ? 0 : ids[i];
  gather_rows(ctx, embed_tokens_per_layer, {rows, ids.size()}, first,
              static_cast<float>(std::sqrt(static_cast<double>(ple_))), out);
  add(ctx, projected, out, out);
  scale(ctx, out, static_cast<float>(std::sqrt(0.5)), out);
}

}  // namespace g3n
