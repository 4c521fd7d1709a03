#include "audio/cumulative_group_norm.h"

#include <algorithm>
#include <cmath>

#include "kernels/ops.h"

namespace g3n {
namespace {

constexpr int64_t kSumLanes = 8;

// Sum of (x - mean)^power, power 1 or 2, in eight double lanes.
template <int power>
double row_sum(const float* x, int64_t n, float mean) {
  double lanes[kSumLanes] = {};
  const int64_t whole = n / kSumLanes * kSumLanes;
  for (int64_t i = 0; i < whole; i += kSumLanes)
    for (int64_t l = 0; l < kSumLanes; ++l) {
      const double d = x[i + l] - mean;
      lanes[l] += power == 1 ? d : d * d;
    }
  for (int64_t i = whole; i < n; ++i) {
    const double d = x[i] - mean;
    lanes[i - whole] += power == 1 ? d : d * d;
  }
  return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

}  // namespace

void cumulative_group_norm_relu(Context& ctx, View<float, 2> x, View<const float, 1> weight, float eps) {
  const int64_t frames = x.dim[0], group = x.dim[1], channels = weight.dim[0];
  if (!x.contiguous() || group % channels != 0)
    throw Error(ErrorCode::kInternal, "cumulative_group_norm: x must be [frames, bins*channels], contiguous");
  const ArenaScope scope(ctx.arena);
  double* sum = ctx.arena.take<double>(frames);
  float* mean = ctx.arena.take<float>(frames);
  float* factor = ctx.arena.take<float>(frames);
  for_rows(ctx, frames, group, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) sum[t] = row_sum<1>(x.row(t), group, 0.0f);
  });
  double total = 0;
  for (int64_t t = 0; t < frames; ++t) {
    total += sum[t];
    mean[t] = static_cast<float>(total / (static_cast<double>(t + 1) * group));
  }
  for_rows(ctx, frames, group, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) sum[t] = row_sum<2>(x.row(t), group, mean[t]);
  });
  total = 0;
  for (int64_t t = 0; t < frames; ++t) {
    total += sum[t];
    factor[t] = static_cast<float>(1.0 / std::sqrt(total / (static_cast<double>(t + 1) * group) + eps));
  }
  for_rows(ctx, frames, group, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      float* row = x.row(t);
      for (int64_t i = 0; i < group; i += channels)
        for (int64_t c = 0; c < channels; ++c)
          row[i + c] = std::max(0.0f, (row[i + c] - mean[t]) * factor[t] * weight[c]);
    }
  });
}

}  // namespace g3n
