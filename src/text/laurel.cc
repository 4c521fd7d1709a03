#include "text/laurel.h"

#include "kernels/ops.h"

namespace g3n {

void Laurel::bind(Binder& bind, const TextConfig& config) {
  eps_ = config.rms_norm_eps;
  bind.matrix("laurel.linear_left.weight", linear_left, {config.laurel_rank, config.hidden_size});
  bind.matrix("laurel.linear_right.weight", linear_right, {config.hidden_size, config.laurel_rank});
  bind.vector("laurel.post_laurel_norm.weight", post_laurel_norm, config.hidden_size);
}

void Laurel::forward(Context& ctx, View<const float, 2> x, View<float, 2> out) const {
  expect_shape(out, x.dim, "Laurel out");
  ArenaScope scope(ctx.arena);
  View<float, 2> low = ctx.scratch(x.dim[0], linear_left.rows);  // [tokens, rank]
  matmul(ctx, x, linear_left, low);
  matmul(ctx, low, linear_right, out);
  rms_norm(ctx, out, post_laurel_norm, eps_, out);
  add(ctx, x, out, out);
}

}  // namespace g3n
