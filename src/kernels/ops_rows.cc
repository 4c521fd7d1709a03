// Row-wise and element-wise ops of ops.h, AltUp's mixes and RoPE: checks, then kernels over pieces of rows.
#include <cstring>

#include "kernels/ops_internal.h"

namespace g3n {

// ---- rows ----

void rms_norm(Context& ctx, View<const float, 2> x, View<const float, 1> weight, float eps, View<float, 2> out,
              int64_t group) {
  const int64_t cols = x.dim[1];
  if (group == 0) group = weight ? weight.dim[0] : cols;
  expect_shape(out, x.dim, "rms_norm out");
  if (weight) expect_shape(weight, {group}, "rms_norm weight");
  expect(group > 0 && cols % group == 0, "rms_norm: rows are not whole groups");
  for_rows(ctx, x.dim[0], cols, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      ctx.kernels.rms_norm(x.row(r), weight.data, out.row(r), cols / group, group, eps);
  });
}

void match_magnitude(Context& ctx, View<const float, 2> x, View<const float, 2> target, float floor,
                     View<float, 2> out) {
  expect_shape(target, x.dim, "match_magnitude target");
  expect_shape(out, x.dim, "match_magnitude out");
  for_rows(ctx, x.dim[0], x.dim[1], [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      ctx.kernels.match_magnitude(x.row(r), target.row(r), out.row(r), x.dim[1], floor);
  });
}

void gaussian_topk(Context& ctx, View<float, 2> x, float z) {
  for_rows(ctx, x.dim[0], x.dim[1], [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) ctx.kernels.gaussian_topk(x.row(r), x.dim[1], z);
  });
}

void rope(Context& ctx, View<float, 2> x, View<const float, 2> cos, View<const float, 2> sin) {
  const int64_t half = cos.dim[1];
  expect_shape(cos, {x.dim[0], half}, "rope cos");
  expect_shape(sin, {x.dim[0], half}, "rope sin");
  expect(half > 0 && x.dim[1] % (2 * half) == 0, "rope: rows are not whole heads");
  for_rows(ctx, x.dim[0], x.dim[1], [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      for (int64_t head = 0; head < x.dim[1]; head += 2 * half)
        ctx.kernels.rope(x.row(r) + head, cos.row(r), sin.row(r), half);
  });
}

// ---- element by element ----

void add(Context& ctx, View<const float, 2> a, View<const float, 2> b, View<float, 2> out) {
  expect_shape(b, a.dim, "add b");
  expect_shape(out, a.dim, "add out");
  for_pieces(ctx, a.dim[0], a.dim[1],
             [&](int64_t r, int64_t c, int64_t n) { ctx.kernels.add(a.row(r) + c, b.row(r) + c, out.row(r) + c, n); });
}

void add3_scaled(Context& ctx, View<const float, 2> a, View<const float, 2> b, View<const float, 2> c, float divisor,
                 View<float, 2> out) {
  expect_shape(b, a.dim, "add3_scaled b");
  expect_shape(c, a.dim, "add3_scaled c");
  expect_shape(out, a.dim, "add3_scaled out");
  for_pieces(ctx, a.dim[0], a.dim[1], [&](int64_t r, int64_t i, int64_t n) {
    ctx.kernels.add3_scaled(a.row(r) + i, b.row(r) + i, c.row(r) + i, divisor, out.row(r) + i, n);
  });
}

void add_scaled(Context& ctx, View<const float, 2> a, View<const float, 2> b, float scale, View<float, 2> out) {
  expect_shape(b, a.dim, "add_scaled b");
  expect_shape(out, a.dim, "add_scaled out");
  for_pieces(ctx, a.dim[0], a.dim[1], [&](int64_t r, int64_t c, int64_t n) {
    ctx.kernels.add_scaled(a.row(r) + c, b.row(r) + c, scale, out.row(r) + c, n);
  });
}

void mul(Context& ctx, View<const float, 2> a, View<const float, 2> b, View<float, 2> out) {
  expect_shape(b, a.dim, "mul b");
  expect_shape(out, a.dim, "mul out");
  for_pieces(ctx, a.dim[0], a.dim[1],
             [&](int64_t r, int64_t c, int64_t n) { ctx.kernels.mul(a.row(r) + c, b.row(r) + c, out.row(r) + c, n); });
}

void mul_row(Context& ctx, View<const float, 2> a, View<const float, 1> row, View<float, 2> out) {
  expect_shape(row, {a.dim[1]}, "mul_row row");
  expect_shape(out, a.dim, "mul_row out");
  for_pieces(ctx, a.dim[0], a.dim[1],
             [&](int64_t r, int64_t c, int64_t n) { ctx.kernels.mul(a.row(r) + c, row.data + c, out.row(r) + c, n); });
}

void mul_row_add(Context& ctx, View<const float, 2> a, View<const float, 1> row, View<const float, 2> c,
                 View<float, 2> out) {
  expect_shape(row, {a.dim[1]}, "mul_row_add row");
  if (c) expect_shape(c, a.dim, "mul_row_add c");
  expect_shape(out, a.dim, "mul_row_add out");
  for_pieces(ctx, a.dim[0], a.dim[1], [&](int64_t r, int64_t i, int64_t n) {
    ctx.kernels.mul_add(a.row(r) + i, row.data + i, c ? c.row(r) + i : nullptr, out.row(r) + i, n);
  });
}

void add_row(Context& ctx, View<const float, 2> a, View<const float, 1> row, View<float, 2> out) {
  expect_shape(row, {a.dim[1]}, "add_row row");
  expect_shape(out, a.dim, "add_row out");
  for_pieces(ctx, a.dim[0], a.dim[1],
             [&](int64_t r, int64_t c, int64_t n) { ctx.kernels.add(a.row(r) + c, row.data + c, out.row(r) + c, n); });
}

void scale(Context& ctx, View<const float, 2> a, float factor, View<float, 2> out) {
  expect_shape(out, a.dim, "scale out");
  for_pieces(ctx, a.dim[0], a.dim[1],
             [&](int64_t r, int64_t c, int64_t n) { ctx.kernels.scale(a.row(r) + c, factor, out.row(r) + c, n); });
}

void gelu(Context& ctx, View<const float, 2> a, View<float, 2> out) {
  expect_shape(out, a.dim, "gelu out");
  for_pieces(ctx, a.dim[0], a.dim[1],
             [&](int64_t r, int64_t c, int64_t n) { ctx.kernels.gelu(a.row(r) + c, out.row(r) + c, n); });
}

void gelu_mul(Context& ctx, View<const float, 2> a, View<const float, 2> b, View<float, 2> out) {
  expect_shape(b, a.dim, "gelu_mul b");
  expect_shape(out, a.dim, "gelu_mul out");
  for_pieces(ctx, a.dim[0], a.dim[1], [&](int64_t r, int64_t c, int64_t n) {
    ctx.kernels.gelu_mul(a.row(r) + c, b.row(r) + c, out.row(r) + c, n);
  });
}

void silu(Context& ctx, View<const float, 2> a, View<float, 2> out) {
  expect_shape(out, a.dim, "silu out");
  for_pieces(ctx, a.dim[0], a.dim[1],
             [&](int64_t r, int64_t c, int64_t n) { ctx.kernels.silu(a.row(r) + c, out.row(r) + c, n); });
}

void sigmoid_mul(Context& ctx, View<const float, 2> a, View<const float, 2> b, View<float, 2> out) {
  expect_shape(b, a.dim, "sigmoid_mul b");
  expect_shape(out, a.dim, "sigmoid_mul out");
  for_pieces(ctx, a.dim[0], a.dim[1], [&](int64_t r, int64_t c, int64_t n) {
    ctx.kernels.sigmoid_mul(a.row(r) + c, b.row(r) + c, out.row(r) + c, n);
  });
}

void tanh_scaled(Context& ctx, View<const float, 2> a, float in, float factor, View<float, 2> out) {
  expect_shape(out, a.dim, "tanh_scaled out");
  for_pieces(ctx, a.dim[0], a.dim[1], [&](int64_t r, int64_t c, int64_t n) {
    ctx.kernels.tanh_scaled(a.row(r) + c, in, factor, out.row(r) + c, n);
  });
}

void clamp(Context& ctx, View<const float, 2> a, float limit, View<float, 2> out) {
  expect_shape(out, a.dim, "clamp out");
  for_pieces(ctx, a.dim[0], a.dim[1],
             [&](int64_t r, int64_t c, int64_t n) { ctx.kernels.clamp(a.row(r) + c, limit, out.row(r) + c, n); });
}

void relu(Context& ctx, View<const float, 2> a, View<float, 2> out) {
  expect_shape(out, a.dim, "relu out");
  for_pieces(ctx, a.dim[0], a.dim[1],
             [&](int64_t r, int64_t c, int64_t n) { ctx.kernels.relu(a.row(r) + c, out.row(r) + c, n); });
}

void copy(Context& ctx, View<const float, 2> a, View<float, 2> out) {
  expect_shape(out, a.dim, "copy out");
  for_pieces(ctx, a.dim[0], a.dim[1], [&](int64_t r, int64_t c, int64_t n) {
    std::memmove(out.row(r) + c, a.row(r) + c, static_cast<size_t>(n) * sizeof(float));
  });
}

// ---- AltUp ----

void altup_predict(Context& ctx, View<const float, 3> h, View<const float, 2> coefs, View<float, 3> out) {
  const int64_t streams = h.dim[0], tokens = h.dim[1], hidden = h.dim[2];
  expect_shape(coefs, {tokens, streams * streams}, "altup_predict coefs");
  expect_shape(out, h.dim, "altup_predict out");
  expect(streams <= 64, "altup_predict: more than 64 streams");
  for_rows(ctx, tokens, hidden * streams, [&](int64_t begin, int64_t end) {
    const float* from[64];
    float* to[64];
    for (int64_t t = begin; t < end; ++t) {
      for (int64_t i = 0; i < streams; ++i) from[i] = h[i].row(t), to[i] = out[i].row(t);
      ctx.kernels.mix_streams(from, streams, coefs.row(t), to, hidden);
    }
  });
}

void altup_correct(Context& ctx, View<const float, 3> p, View<const float, 2> coefs, View<const float, 2> activated,
                   int64_t active, View<float, 3> out) {
  const int64_t streams = p.dim[0], tokens = p.dim[1], hidden = p.dim[2];
  expect_shape(coefs, {tokens, streams}, "altup_correct coefs");
  expect_shape(activated, {tokens, hidden}, "altup_correct activated");
  expect_shape(out, p.dim, "altup_correct out");
  expect(active >= 0 && active < streams, "altup_correct: no such stream");
  for_pieces(ctx, tokens, hidden, [&](int64_t t, int64_t c, int64_t n) {
    float innovation[kPiece];
    ctx.kernels.add_scaled(activated.row(t) + c, p[active].row(t) + c, -1.0f, innovation, n);
    for (int64_t i = 0; i < streams; ++i)
      ctx.kernels.add_scaled(p[i].row(t) + c, innovation, coefs.row(t)[i] + 1.0f, out[i].row(t) + c, n);
  });
}

void mean_planes(Context& ctx, View<const float, 3> planes, View<float, 2> out) {
  const int64_t count = planes.dim[0], rows = planes.dim[1], cols = planes.dim[2];
  expect_shape(out, {rows, cols}, "mean_planes out");
  expect(count > 0, "mean_planes: no planes");
  for_pieces(ctx, rows, cols, [&](int64_t r, int64_t c, int64_t n) {
    float sum[kPiece];  // out may be one of the planes
    ctx.kernels.scale(planes[0].row(r) + c, 1.0f, sum, n);
    for (int64_t i = 1; i < count; ++i) ctx.kernels.add(sum, planes[i].row(r) + c, sum, n);
    const float last = static_cast<float>(count);
    for (int64_t i = 0; i < n; ++i) out.row(r)[c + i] = sum[i] / last;
  });
}

}  // namespace g3n
