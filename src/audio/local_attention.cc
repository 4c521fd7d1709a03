#include "audio/local_attention.h"

#include <algorithm>
#include <cmath>

#include "kernels/ops.h"

namespace g3n {
namespace {

constexpr int64_t kDotLanes = 16;  // independent sums: the compiler makes vectors of them

// q . (k + r)
float dot_sum(const float* q, const float* k, const float* r, int64_t n) {
  float lanes[kDotLanes] = {};
  const int64_t whole = n / kDotLanes * kDotLanes;
  for (int64_t i = 0; i < whole; i += kDotLanes)
    for (int64_t l = 0; l < kDotLanes; ++l) lanes[l] += q[i + l] * (k[i + l] + r[i + l]);
  for (int64_t i = whole; i < n; ++i) lanes[i - whole] += q[i] * (k[i] + r[i]);
  for (int64_t half = kDotLanes / 2; half > 0; half /= 2)
    for (int64_t l = 0; l < half; ++l) lanes[l] += lanes[l + half];
  return lanes[0];
}

// One frame, one head. weights: room for the window.
void attend(const LocalAttention& a, int64_t t, int64_t head, float* weights, float* out) {
  const int64_t head_dim = a.q.dim[1] / a.heads, first = head * head_dim;
  const int64_t count = std::min(a.positions.dim[0], t + 1);  // distances 0 .. count - 1
  const float* q = a.q.row(t) + first;
  float largest = -a.logit_cap;
  for (int64_t d = 0; d < count; ++d) {
    const float logit = dot_sum(q, a.k.row(t - d) + first, a.positions.row(d) + first, head_dim);
    weights[d] = a.logit_cap * std::tanh(logit / a.logit_cap);
    largest = std::max(largest, weights[d]);
  }
  float sum = 0;
  for (int64_t d = 0; d < count; ++d) {
    weights[d] = std::exp(weights[d] - largest);
    sum += weights[d];
  }
  std::fill(out, out + head_dim, 0.0f);
  for (int64_t d = 0; d < count; ++d) {
    const float weight = weights[d] / sum;
    const float* v = a.v.row(t - d) + first;
    for (int64_t i = 0; i < head_dim; ++i) out[i] += weight * v[i];
  }
}

}  // namespace

void local_attention(Context& ctx, const LocalAttention& a, View<float, 2> out) {
  const int64_t frames = a.q.dim[0], width = a.q.dim[1], window = a.positions.dim[0];
  expect_shape(a.k, {frames, width}, "k");
  expect_shape(a.v, {frames, width}, "v");
  expect_shape(a.positions, {window, width}, "positions");
  expect_shape(out, {frames, width}, "out");
  if (a.heads < 1 || width % a.heads != 0)
    throw Error(ErrorCode::kInternal, "local_attention: the width is not a multiple of the heads");
  const ArenaScope scope(ctx.arena);
  const View<float, 2> weights = ctx.scratch(frames, window);
  for_rows(ctx, frames, 3 * window * width, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t)
      for (int64_t head = 0; head < a.heads; ++head)
        attend(a, t, head, weights.row(t), out.row(t) + head * (width / a.heads));
  });
}

}  // namespace g3n
