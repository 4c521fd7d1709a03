#include "text/altup.h"

#include "kernels/ops.h"

namespace g3n {

void AltUp::bind(Binder& bind, const TextConfig& config) {
  const int64_t streams = config.altup_num_inputs, hidden = config.hidden_size;
  active_ = config.altup_active_idx;
  eps_ = config.rms_norm_eps;
  bind.vector("altup.correct_output_scale", correct_output_scale, hidden);
  bind.matrix("altup.correction_coefs.weight", correction_coefs, {streams, streams});
  bind.matrix("altup.prediction_coefs.weight", prediction_coefs, {streams * streams, streams});
  bind.matrix("altup.modality_router.weight", modality_router, {streams, hidden});
  bind.vector("altup.router_norm.weight", router_norm, hidden);
}

// tanh( modality_router * (RMSNorm(x) / hidden) )
void AltUp::route(Context& ctx, View<const float, 2> x, View<float, 2> out) const {
  ArenaScope scope(ctx.arena);
  View<float, 2> normed = ctx.scratch(x.dim[0], x.dim[1]);
  rms_norm(ctx, x, router_norm, eps_, normed);
  scale(ctx, normed, 1.0f / static_cast<float>(x.dim[1]), normed);
  matmul_f32(ctx, normed, modality_router, out);
  tanh_scaled(ctx, out, 1.0f, 1.0f, out);
}

void AltUp::predict(Context& ctx, View<const float, 3> h, View<float, 3> out) const {
  const int64_t streams = h.dim[0], tokens = h.dim[1];
  expect_shape(out, h.dim, "AltUp::predict out");
  ArenaScope scope(ctx.arena);
  View<float, 2> modalities = ctx.scratch(tokens, streams);
  View<float, 2> coefs = ctx.scratch(tokens, streams * streams);
  route(ctx, h[active_], modalities);
  matmul_f32(ctx, modalities, prediction_coefs, coefs);
  altup_predict(ctx, h, coefs, out);
}

void AltUp::correct(Context& ctx, View<const float, 2> activated, View<float, 3> streams) const {
  const int64_t tokens = streams.dim[1];
  expect_shape(activated, {tokens, streams.dim[2]}, "AltUp::correct activated");
  ArenaScope scope(ctx.arena);
  View<float, 2> modalities = ctx.scratch(tokens, streams.dim[0]);
  View<float, 2> coefs = ctx.scratch(tokens, streams.dim[0]);
  route(ctx, activated, modalities);
  matmul_f32(ctx, modalities, correction_coefs, coefs);
  altup_correct(ctx, streams, coefs, activated, active_, streams);
}

}  // namespace g3n
