#include "audio/conformer_block.h"

#include <algorithm>
#include <cmath>

#include "audio/local_attention.h"
#include "kernels/ops.h"

namespace g3n {
namespace {

// out = rms_norm(clamp(x)); out may alias x.
void clamped_norm(Context& ctx, const AudioConfig& config, View<const float, 2> x, View<const float, 1> weight,
                  View<float, 2> out) {
  clamp(ctx, x, config.gradient_clipping, out);
  rms_norm(ctx, out, weight, config.rms_norm_eps, out);
}

// Rows without padding between them, as maps for depthwise_conv2d must be.
View<float, 3> frames_as_map(Context& ctx, int64_t frames, int64_t channels) {
  return {ctx.arena.take<float>(frames * channels), {frames, 1, channels}};
}

View<float, 2> rows_of(View<float, 3> map) { return {map.data, {map.dim[0], map.dim[2]}}; }

}  // namespace

void relative_sinusoids(View<float, 2> out) {
  const int64_t half = out.dim[1] / 2;
  for (int64_t i = 0; i < half; ++i) {
    const double frequency =
        std::exp(-static_cast<double>(i) * std::log(10000.0) / static_cast<double>(std::max<int64_t>(half - 1, 1)));
    for (int64_t d = 0; d < out.dim[0]; ++d) {
      out.row(d)[i] = static_cast<float>(std::sin(static_cast<double>(d) * frequency));
      out.row(d)[half + i] = static_cast<float>(std::cos(static_cast<double>(d) * frequency));
    }
  }
}

void ConformerFeedForward::bind(Binder& binder, const AudioConfig& config) {
  binder.vector("pre_layer_norm.weight", pre_layer_norm_, config.hidden);
  binder.matrix("ffw_layer_1.weight", ffw_layer_1_, {config.ffn(), config.hidden});
  binder.matrix("ffw_layer_2.weight", ffw_layer_2_, {config.hidden, config.ffn()});
  binder.vector("post_layer_norm.weight", post_layer_norm_, config.hidden);
}

void ConformerFeedForward::forward(Context& ctx, const ConformerPass& pass, View<float, 2> x) const {
  const AudioConfig& config = pass.config;
  const ArenaScope scope(ctx.arena);
  const View<float, 2> y = ctx.scratch(x.dim[0], config.hidden);    // [frames, hidden]
  const View<float, 2> wide = ctx.scratch(x.dim[0], config.ffn());  // [frames, ffn]
  clamped_norm(ctx, config, x, pre_layer_norm_, y);
  matmul(ctx, y, ffw_layer_1_, wide);
  silu(ctx, wide, wide);
  matmul(ctx, wide, ffw_layer_2_, y);
  clamped_norm(ctx, config, y, post_layer_norm_, y);
  add_scaled(ctx, x, y, config.residual_weight, x);
}

void ConformerAttention::bind(Binder& binder, const AudioConfig& config) {
  const Shape square = {config.hidden, config.hidden};
  binder.vector("pre_attn_norm.weight", pre_attn_norm_, config.hidden);
  binder.matrix("attn.q_proj.weight", q_proj_, square);
  binder.matrix("attn.k_proj.weight", k_proj_, square);
  binder.matrix("attn.v_proj.weight", v_proj_, square);
  binder.vector("attn.per_dim_scale", per_dim_scale_, config.head_dim());
  binder.matrix("attn.relative_position_embedding.pos_proj.weight", pos_proj_, square);
  binder.matrix("post.weight", post_, square);
  binder.vector("post_norm.weight", post_norm_, config.hidden);
}

void ConformerAttention::forward(Context& ctx, const ConformerPass& pass, View<float, 2> x) const {
  const AudioConfig& config = pass.config;
  const ArenaScope scope(ctx.arena);
  const int64_t frames = x.dim[0], hidden = config.hidden;
  const View<float, 2> y = ctx.scratch(frames, hidden), q = ctx.scratch(frames, hidden);  // [frames, hidden]
  const View<float, 2> k = ctx.scratch(frames, hidden), v = ctx.scratch(frames, hidden);  // [frames, hidden]
  clamped_norm(ctx, config, x, pre_attn_norm_, y);
  matmul(ctx, y, {{q_proj_, q}, {k_proj_, k}, {v_proj_, v}});

  const View<float, 2> positions = ctx.scratch(pass.sinusoids.dim[0], hidden);  // [distances, hidden]
  matmul(ctx, pass.sinusoids, pos_proj_, positions);
  // Queries only: head_dim^-0.5 / softplus(0) * softplus(per_dim_scale), the same for every head.
  const View<float, 1> scale = ctx.scratch(1, hidden)[0];  // [hidden]
  const double base = 1.0 / (std::sqrt(static_cast<double>(config.head_dim())) * std::log(2.0));
  for (int64_t i = 0; i < hidden; ++i) {
    const double s = per_dim_scale_[i % config.head_dim()];
    scale[i] = static_cast<float>(base * (std::max(s, 0.0) + std::log1p(std::exp(-std::abs(s)))));
  }
  mul_row(ctx, q, scale, q);
  local_attention(
      ctx, {.q = q, .k = k, .v = v, .positions = positions, .heads = config.heads, .logit_cap = config.logit_cap}, y);

  const View<float, 2> projected = q;  // no longer needed
  matmul(ctx, y, post_, projected);
  clamped_norm(ctx, config, projected, post_norm_, projected);
  add(ctx, x, projected, x);
}

void ConformerLightConv1d::bind(Binder& binder, const AudioConfig& config) {
  binder.vector("pre_layer_norm.weight", pre_layer_norm_, config.hidden);
  binder.matrix("linear_start.weight", linear_start_, {2 * config.hidden, config.hidden});
  binder.depthwise("depthwise_conv1d.weight", depthwise_conv1d_, {config.hidden, 1, config.conv_kernel_size});
  binder.vector("conv_norm.weight", conv_norm_, config.hidden);
  binder.matrix("linear_end.weight", linear_end_, {config.hidden, config.hidden});
}

void ConformerLightConv1d::forward(Context& ctx, const ConformerPass& pass, View<float, 2> x, int64_t keep) const {
  const AudioConfig& config = pass.config;
  const ArenaScope scope(ctx.arena);
  const int64_t frames = x.dim[0], hidden = config.hidden, kernel = config.conv_kernel_size;
  const View<float, 2> y = ctx.scratch(frames, hidden);          // [frames, hidden]
  const View<float, 2> start = ctx.scratch(frames, 2 * hidden);  // [frames, 2 * hidden]
  const View<float, 2> value(start.data, {frames, hidden}, start.step),
      gate(start.data + hidden, {frames, hidden}, start.step);
  rms_norm(ctx, x, pre_layer_norm_, config.rms_norm_eps, y);
  matmul(ctx, y, linear_start_, start);

  const View<float, 3> gated = frames_as_map(ctx, frames, hidden), mixed = frames_as_map(ctx, frames, hidden);
  sigmoid_mul(ctx, value, gate, rows_of(gated));
  const ConvShape causal{.kernel_h = kernel,
                         .kernel_w = 1,
                         .stride_h = 1,
                         .stride_w = 1,
                         .pad_top = kernel - 1,
                         .pad_left = 0,
                         .out_h = frames,
                         .out_w = 1};
  depthwise_conv2d(ctx, gated, causal, depthwise_conv1d_, mixed);

  const View<float, 2> kept = every_nth(x, keep), u = every_nth(rows_of(mixed), keep), end = y.slice(0, kept.dim[0]);
  clamped_norm(ctx, config, u, conv_norm_, u);
  silu(ctx, u, u);
  matmul(ctx, u, linear_end_, end);
  add(ctx, kept, end, kept);
}

void ConformerBlock::bind(Binder& binder, const AudioConfig& config) {
  const auto part = [&](const char* name, auto& member) {
    const Binder::Scope scope(binder, name);
    member.bind(binder, config);
  };
  part("ffw_layer_start.", ffw_layer_start_);
  part("attention.", attention_);
  part("lconv1d.", lconv1d_);
  part("ffw_layer_end.", ffw_layer_end_);
  binder.vector("norm.weight", norm_, config.hidden);
}

void ConformerBlock::forward(Context& ctx, const ConformerPass& pass, int64_t index, View<float, 2> x,
                             int64_t keep) const {
  ffw_layer_start_.forward(ctx, pass, x);
  ctx.tap("ffw_start", index, x);
  attention_.forward(ctx, pass, x);
  ctx.tap("attention", index, x);
  lconv1d_.forward(ctx, pass, x, keep);
  ctx.tap("lconv", index, x);
  const View<float, 2> kept = every_nth(x, keep);
  ffw_layer_end_.forward(ctx, pass, kept);
  ctx.tap("ffw_end", index, x);
  clamped_norm(ctx, pass.config, kept, norm_, kept);
  ctx.tap("out", index, x);
}

}  // namespace g3n
