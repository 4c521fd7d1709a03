// Blocks of the tower. Every norm is RMSNorm over the channels of a pixel: a row of a channels-last map.
#include "vision/mobilenet_blocks.h"

#include <cmath>
#include <cstring>
#include <vector>

namespace g3n {
namespace {

// rms_norm and GELU of a strip that a product has just written.
void norm_gelu(Context& ctx, View<float, 2> x, View<const float, 1> weight) {
  rms_norm(ctx, x, weight, kTowerEps, x);
  gelu(ctx, x, x);
}

}  // namespace

// ---- EdgeResidual
// -------------------------------------------------------------------------------------------------------------------

void EdgeResidual::bind(Binder& binder, const BlockPlan& plan) {
  plan_ = plan;
  binder.matrix("conv_exp.weight", conv_exp_, {plan.mid, plan.in, plan.kernel, plan.kernel});
  binder.vector("bn1.weight", bn1_, plan.mid);
  binder.matrix("conv_pwl.weight", conv_pwl_, {plan.out, plan.mid, 1, 1});
  binder.vector("bn2.weight", bn2_, plan.out);
  if (plan.layer_scale) binder.vector("layer_scale.gamma", gamma_, plan.out);
}

void EdgeResidual::forward(Context& ctx, const Map& x, Map out) const {
  const ConvShape conv = same_conv(x.h, x.w, plan_.kernel, plan_.stride);
  const int64_t step = strip_rows(ctx, out.h, out.w, plan_.mid);
  ArenaScope scope(ctx.arena);
  const Map buffer = scratch_map(ctx, step, out.w, plan_.mid);
  for (int64_t row = 0; row < out.h; row += step) {
    const RowRange strip = {row, std::min(row + step, out.h)};
    const RowRange in = input_rows(conv, x.h, strip);
    const View<float, 2> mid = buffer.rows(0, strip.end - strip.begin).x;  // [strip, mid]
    const View<float, 2> y = out.rows(strip.begin, strip.end).x;           // [strip, out]
    conv2d(ctx, x.rows(in.begin, in.end).image(), part_of(conv, strip, in.begin), conv_exp_, mid);
    norm_gelu(ctx, mid, bn1_);
    matmul(ctx, mid, conv_pwl_, y);
    rms_norm(ctx, y, bn2_, kTowerEps, y);
    if (gamma_) mul_row(ctx, y, gamma_, y);
    if (plan_.skip()) add(ctx, y, x.rows(strip.begin, strip.end).x, y);
  }
}

// ---- InvertedResidual
// ---------------------------------------------------------------------------------------------------------------

void InvertedResidual::bind(Binder& binder, const BlockPlan& plan) {
  plan_ = plan;
  if (plan.dw_start) {
    binder.depthwise("dw_start.conv.weight", dw_start_, {plan.in, 1, plan.dw_start, plan.dw_start});
    binder.vector("dw_start.bn.weight", dw_start_bn_, plan.in);
  }
  binder.matrix("pw_exp.conv.weight", pw_exp_, {plan.mid, plan.in, 1, 1});
  binder.vector("pw_exp.bn.weight", pw_exp_bn_, plan.mid);
  if (plan.dw_mid) {
    binder.depthwise("dw_mid.conv.weight", dw_mid_, {plan.mid, 1, plan.dw_mid, plan.dw_mid});
    binder.vector("dw_mid.bn.weight", dw_mid_bn_, plan.mid);
  }
  binder.matrix("pw_proj.conv.weight", pw_proj_, {plan.out, plan.mid, 1, 1});
  binder.vector("pw_proj.bn.weight", pw_proj_bn_, plan.out);
  binder.vector("layer_scale.gamma", gamma_, plan.out);
}

// Rows of the expanded map: dw_start and pw_exp.
void InvertedResidual::expand(Context& ctx, const Map& x, RowRange rows, View<float, 2> out) const {
  ArenaScope scope(ctx.arena);
  View<float, 2> start = x.rows(rows.begin, rows.end).x;  // [rows*w, in]
  if (plan_.dw_start) {
    const ConvShape conv = same_conv(x.h, x.w, plan_.dw_start, 1);
    const RowRange in = input_rows(conv, x.h, rows);
    Map y = scratch_map(ctx, rows.end - rows.begin, x.w, plan_.in);
    depthwise_conv2d(ctx, x.rows(in.begin, in.end).image(), part_of(conv, rows, in.begin), dw_start_, y.image());
    rms_norm(ctx, y.x, dw_start_bn_, kTowerEps, y.x);
    start = y.x;
  }
  matmul(ctx, start, pw_exp_, out);
  norm_gelu(ctx, out, pw_exp_bn_);
}

void InvertedResidual::project(Context& ctx, View<const float, 2> mid, View<const float, 2> skip,
                               View<float, 2> out) const {
  matmul(ctx, mid, pw_proj_, out);
  rms_norm(ctx, out, pw_proj_bn_, kTowerEps, out);
  mul_row_add(ctx, out, gamma_, skip, out);
}

void InvertedResidual::forward(Context& ctx, const Map& x, Map out) const {
  const ConvShape conv = same_conv(x.h, x.w, plan_.dw_mid ? plan_.dw_mid : 1, plan_.stride);
  const int64_t step = strip_rows(ctx, out.h, x.w * plan_.stride, plan_.mid);
  const int64_t window_rows = std::min(x.h, (step - 1) * plan_.stride + conv.kernel_h);
  ArenaScope scope(ctx.arena);
  const Map window = scratch_map(ctx, window_rows, x.w, plan_.mid);  // rows have.begin .. have.end of the expanded map
  const Map middle = plan_.dw_mid ? scratch_map(ctx, step, out.w, plan_.mid) : Map{};
  RowRange have = {0, 0};
  for (int64_t row = 0; row < out.h; row += step) {
    const RowRange strip = {row, std::min(row + step, out.h)};
    const RowRange need = input_rows(conv, x.h, strip);
    // What the last strip left at the end of the window is kept.
    const int64_t kept = std::max<int64_t>(have.end - need.begin, 0);
    if (kept > 0)
      std::memmove(window.x.data, window.rows(need.begin - have.begin, have.end - have.begin).x.data,
                   static_cast<size_t>(kept * x.w * plan_.mid) * sizeof(float));
    expand(ctx, x, {need.begin + kept, need.end}, window.rows(kept, need.end - need.begin).x);
    have = need;

    Map mid = window.rows(0, need.end - need.begin);
    if (plan_.dw_mid) {
      Map y = middle.rows(0, strip.end - strip.begin);
      depthwise_conv2d(ctx, std::as_const(mid).image(), part_of(conv, strip, need.begin), dw_mid_, y.image());
      norm_gelu(ctx, y.x, dw_mid_bn_);
      mid = y;
    }
    const View<const float, 2> skip =
        plan_.skip() ? View<const float, 2>(x.rows(strip.begin, strip.end).x) : View<const float, 2>{};
    project(ctx, mid.x, skip, out.rows(strip.begin, strip.end).x);
  }
}

// ---- MobileAttention
// ----------------------------------------------------------------------------------------------------------------

void MobileAttention::bind_side(Binder& binder, const std::string& name, Side& side) const {
  Binder::Scope scope(binder, name);
  if (plan_.kernel) {
    binder.depthwise("down_conv.weight", side.down_conv, {plan_.in, 1, plan_.kernel, plan_.kernel});
    binder.vector("norm.weight", side.norm, plan_.in);
  }
  binder.matrix("proj.weight", side.proj, {plan_.head_dim, plan_.in, 1, 1});
}

void MobileAttention::bind(Binder& binder, const BlockPlan& plan) {
  plan_ = plan;
  binder.vector("norm.weight", norm_, plan.in);
  binder.matrix("attn.query.proj.weight", query_, {plan.mid, plan.in, 1, 1});
  bind_side(binder, "attn.key.", key_);
  bind_side(binder, "attn.value.", value_);
  binder.matrix("attn.output.proj.weight", output_, {plan.in, plan.mid, 1, 1});
  binder.vector("layer_scale.gamma", gamma_, plan.in);
}

View<float, 2> MobileAttention::side(Context& ctx, const Map& normed, const Side& side) const {
  Map m = normed;
  if (plan_.kernel) {
    const ConvShape conv = same_conv(normed.h, normed.w, plan_.kernel, 2);
    m = scratch_map(ctx, conv.out_h, conv.out_w, plan_.in);
    depthwise_conv2d(ctx, normed.image(), conv, side.down_conv, m.image());
    rms_norm(ctx, m.x, side.norm, kTowerEps, m.x);
  }
  View<float, 2> out = ctx.scratch(m.x.dim[0], plan_.head_dim);
  matmul(ctx, m.x, side.proj, out);
  return out;
}

void MobileAttention::forward(Context& ctx, const Map& x, Map out) const {
  ArenaScope scope(ctx.arena);
  const Map normed = scratch_map(ctx, x.h, x.w, plan_.in);
  rms_norm(ctx, x.x, norm_, kTowerEps, normed.x);

  // K and V of the whole map, packed as attention reads them: one page, one head.
  const View<float, 2> k = side(ctx, normed, key_), v = side(ctx, normed, value_);  // [keys, head_dim]
  const int64_t keys = k.dim[0], page_positions = round_up(keys, kKeyBlock);
  const DType dtype = ctx.compute == ComputeType::kF32 ? DType::kF32 : DType::kBF16;
  const int64_t page_bytes = kv_page_bytes(dtype, 1, plan_.head_dim, page_positions);
  std::byte* page = ctx.arena.take<std::byte>(page_bytes);
  zero_bytes(page, static_cast<size_t>(page_bytes));
  const KeyValues kv = {dtype, 1, plan_.head_dim, {&page, 1}, page_positions};
  kv_append(ctx, kv, 0, k, v);

  const int64_t step = strip_rows(ctx, x.h, x.w, plan_.mid);
  const std::vector<KeyRange> visible(static_cast<size_t>(step * x.w), KeyRange{0, keys});
  const View<float, 2> query_buffer = ctx.scratch(step * x.w, plan_.mid),
                       heads_buffer = ctx.scratch(step * x.w, plan_.mid);
  const float query_scale = 1.0f / std::sqrt(static_cast<float>(plan_.head_dim));
  for (int64_t row = 0; row < x.h; row += step) {
    const RowRange strip = {row, std::min(row + step, x.h)};
    const int64_t pixels = (strip.end - strip.begin) * x.w;
    const View<float, 2> q = query_buffer.slice(0, pixels),
                         o = heads_buffer.slice(0, pixels);       // [strip, heads*head_dim]
    const View<float, 2> y = out.rows(strip.begin, strip.end).x;  // [strip, channels]
    matmul(ctx, normed.rows(strip.begin, strip.end).x, query_, q);
    scale(ctx, q, query_scale, q);
    const AttentionSequence sequence = {kv, 0, {visible.data(), static_cast<size_t>(pixels)}};
    attention(ctx, q, plan_.mid / plan_.head_dim, {&sequence, 1}, o);
    matmul(ctx, o, output_, y);
    mul_row_add(ctx, y, gamma_, x.rows(strip.begin, strip.end).x, y);
  }
}

// ---- any block
// ----------------------------------------------------------------------------------------------------------------------

void MobileNetBlock::bind(Binder& binder, const BlockPlan& plan) {
  plan_ = plan;
  switch (plan.type) {
    case BlockType::kEdgeResidual: block_.emplace<EdgeResidual>(); break;
    case BlockType::kInvertedResidual: block_.emplace<InvertedResidual>(); break;
    case BlockType::kAttention: block_.emplace<MobileAttention>(); break;
  }
  std::visit([&](auto& block) { block.bind(binder, plan); }, block_);
}

void MobileNetBlock::forward(Context& ctx, const Map& x, const Map& out) const {
  expect_shape(x.x, {x.h * x.w, plan_.in}, "vision block input");
  expect_shape(out.x, {same_size(x.h, plan_.stride) * same_size(x.w, plan_.stride), plan_.out}, "vision block output");
  std::visit([&](const auto& block) { block.forward(ctx, x, out); }, block_);
}

}  // namespace g3n
