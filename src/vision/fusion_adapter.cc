#include "vision/fusion_adapter.h"

#include <algorithm>
#include <cstring>

#include "vision/mobilenet_blocks.h"

namespace g3n {
namespace {

// Rows of concat(fine, upsample(coarse)): [rows*w, fine + coarse] channels.
void concat_rows(Context& ctx, const Map& fine, const Map& coarse, RowRange rows, View<float, 2> out) {
  const int64_t a = fine.channels(), b = coarse.channels();
  for_rows(ctx, (rows.end - rows.begin) * fine.w, a + b, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t y = rows.begin + i / fine.w, x = i % fine.w;
      const int64_t from = y * coarse.h / fine.h * coarse.w + x * coarse.w / fine.w;
      std::memcpy(out.row(i), fine.x.row(y * fine.w + x), static_cast<size_t>(a) * sizeof(float));
      std::memcpy(out.row(i) + a, coarse.x.row(from), static_cast<size_t>(b) * sizeof(float));
    }
  });
}

// out += nearest upsampling of coarse, for rows of the fine map.
void add_upsampled(Context& ctx, const Map& fine, const Map& coarse, RowRange rows, View<float, 2> out) {
  for_rows(ctx, (rows.end - rows.begin) * fine.w, out.dim[1], [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float* from =
          coarse.x.row((rows.begin + i / fine.w) * coarse.h / fine.h * coarse.w + i % fine.w * coarse.w / fine.w);
      float* to = out.row(i);
      for (int64_t k = 0; k < out.dim[1]; ++k) to[k] += from[k];
    }
  });
}

struct Neighbours {
  int64_t low, high;
  float weight;  // of high
};
Neighbours neighbours(int64_t o, int64_t in, int64_t out) {
  const float ratio = static_cast<float>(in) / static_cast<float>(out);
  const float at = std::max(ratio * (static_cast<float>(o) + 0.5f) - 0.5f, 0.0f);
  const int64_t low = std::min(static_cast<int64_t>(at), in - 1);
  return {low, std::min(low + 1, in - 1), at - static_cast<float>(low)};
}

}  // namespace

void average_pool(Context& ctx, const Map& map, int64_t out_h, int64_t out_w, View<float, 2> out) {
  const int64_t ky = map.h / out_h, kx = map.w / out_w, channels = map.channels();
  expect_shape(out, {out_h * out_w, channels}, "average_pool output");
  const float count = static_cast<float>(ky * kx);
  for_rows(ctx, out_h * out_w, ky * kx * channels, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      float* sum = out.row(i);
      std::fill(sum, sum + channels, 0.0f);
      for (int64_t y = 0; y < ky; ++y)
        for (int64_t x = 0; x < kx; ++x) {
          const float* from = map.x.row((i / out_w * ky + y) * map.w + i % out_w * kx + x);
          for (int64_t c = 0; c < channels; ++c) sum[c] += from[c];
        }
      for (int64_t c = 0; c < channels; ++c) sum[c] /= count;
    }
  });
}

void bilinear_resize(Context& ctx, const Map& map, int64_t out_h, int64_t out_w, View<float, 2> out) {
  const int64_t channels = map.channels();
  expect_shape(out, {out_h * out_w, channels}, "bilinear_resize output");
  for_rows(ctx, out_h * out_w, 4 * channels, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Neighbours y = neighbours(i / out_w, map.h, out_h), x = neighbours(i % out_w, map.w, out_w);
      const float *a = map.x.row(y.low * map.w + x.low), *b = map.x.row(y.low * map.w + x.high);
      const float *c = map.x.row(y.high * map.w + x.low), *d = map.x.row(y.high * map.w + x.high);
      float* to = out.row(i);
      for (int64_t k = 0; k < channels; ++k)
        to[k] = (1 - y.weight) * ((1 - x.weight) * a[k] + x.weight * b[k]) +
                y.weight * ((1 - x.weight) * c[k] + x.weight * d[k]);
    }
  });
}

void FusionAdapter::bind(Binder& binder, const FusionShape& shape) {
  shape_ = shape;
  Binder::Scope scope(binder, "msfa.");
  binder.matrix("ffn.pw_exp.conv.weight", pw_exp_, {shape.mid, shape.fine + shape.coarse, 1, 1});
  binder.vector("ffn.pw_exp.bn.weight", pw_exp_bn_, shape.mid);
  binder.matrix("ffn.pw_proj.conv.weight", pw_proj_, {shape.out, shape.mid, 1, 1});
  binder.vector("ffn.pw_proj.bn.weight", pw_proj_bn_, shape.out);
  binder.vector("norm.weight", norm_, shape.out);
}

void FusionAdapter::resize(Context& ctx, const Map& map, View<float, 2> out) const {
  const int64_t side = shape_.resolution;
  if (map.h % side == 0 && map.w % side == 0)
    average_pool(ctx, map, side, side, out);
  else
    bilinear_resize(ctx, map, side, side, out);
}

void FusionAdapter::forward(Context& ctx, const Map& fine, const Map& coarse, View<float, 2> out) const {
  const int64_t step = strip_rows(ctx, fine.h, fine.w, shape_.mid);
  ArenaScope scope(ctx.arena);
  const Map fused = scratch_map(ctx, fine.h, fine.w, shape_.out);
  const Map mid = scratch_map(ctx, step, fine.w, shape_.mid);
  // pw_exp is linear: its product with the coarse map is taken before the upsampling, where it is four times smaller,
  // if the weight can be cut there. Which way is taken depends on the widths and the
  // weight's format alone.
  const bool split = shape_.fine % input_cut(pw_exp_) == 0;
  const Map joined = split ? Map{} : scratch_map(ctx, step, fine.w, shape_.fine + shape_.coarse);
  const Map coarse_mid = split ? scratch_map(ctx, coarse.h, coarse.w, shape_.mid) : Map{};
  if (split) matmul(ctx, coarse.x, inputs_of(pw_exp_, shape_.fine, shape_.coarse), coarse_mid.x);
  for (int64_t row = 0; row < fine.h; row += step) {
    const RowRange strip = {row, std::min(row + step, fine.h)};
    const View<float, 2> e = mid.rows(0, strip.end - strip.begin).x;  // [strip, mid]
    const View<float, 2> y = fused.rows(strip.begin, strip.end).x;    // [strip, out]
    if (split) {
      matmul(ctx, fine.rows(strip.begin, strip.end).x, inputs_of(pw_exp_, 0, shape_.fine), e);
      add_upsampled(ctx, fine, coarse_mid, strip, e);
    } else {
      const View<float, 2> u = joined.rows(0, strip.end - strip.begin).x;  // [strip, fine + coarse]
      concat_rows(ctx, fine, coarse, strip, u);
      matmul(ctx, u, pw_exp_, e);
    }
    rms_norm(ctx, e, pw_exp_bn_, kTowerEps, e);
    gelu(ctx, e, e);
    matmul(ctx, e, pw_proj_, y);
    rms_norm(ctx, y, pw_proj_bn_, kTowerEps, y);
  }
  resize(ctx, fused, out);
  rms_norm(ctx, out, norm_, kTowerEps, out);
}

}  // namespace g3n
