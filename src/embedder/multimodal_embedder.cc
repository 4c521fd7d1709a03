// The two paths of the embedder; see the header for the formulas.
#include "embedder/multimodal_embedder.h"

namespace g3n {

void MultimodalEmbedder::bind(Binder& binder, const std::string& prefix, const EmbedderShape& shape) {
  shape_ = shape;
  Binder::Scope scope(binder, prefix);
  binder.table("embedding.weight", embedding_, {shape.vocab, shape.width});
  binder.vector("hard_embedding_norm.weight", hard_norm_, shape.width);
  binder.vector("soft_embedding_norm.weight", soft_norm_, shape.width);
  binder.matrix("embedding_projection.weight", projection_, {shape.hidden, shape.width});
}

void MultimodalEmbedder::project(Context& ctx, View<const float, 2> normed, View<float, 2> out) const {
  matmul(ctx, normed, projection_, out);
  rms_norm(ctx, out, {}, shape_.eps, out);
}

void MultimodalEmbedder::soft(Context& ctx, View<const float, 2> x, View<float, 2> out) const {
  expect_shape(x, {x.dim[0], shape_.width}, "embedder input");
  expect_shape(out, {x.dim[0], shape_.hidden}, "embedder output");
  ArenaScope scope(ctx.arena);
  View<float, 2> normed = ctx.scratch(x.dim[0], shape_.width);  // [rows, width]
  rms_norm(ctx, x, soft_norm_, shape_.eps, normed);
  project(ctx, normed, out);
}

void MultimodalEmbedder::hard(Context& ctx, int64_t row, View<float, 2> out) const {
  expect_shape(out, {1, shape_.hidden}, "embedder output");
  if (row < 0 || row >= shape_.vocab)
    throw Error(ErrorCode::kInvalidArgument,
                "row " + std::to_string(row) + " of a side vocabulary of " + std::to_string(shape_.vocab) + " rows");
  ArenaScope scope(ctx.arena);
  View<float, 2> normed = ctx.scratch(1, shape_.width);  // [1, width]
  const int32_t id = static_cast<int32_t>(row);
  gather_rows(ctx, embedding_, {&id, 1}, 0, 1.0f, normed);
  rms_norm(ctx, normed, hard_norm_, shape_.eps, normed);
  project(ctx, normed, out);
}

}  // namespace g3n
