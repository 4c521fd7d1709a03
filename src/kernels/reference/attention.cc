// Attention of the reference table: online softmax over blocks of 32 keys, and the merge of segments.
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/reference/reference.h"
#include "kernels/reference/scalar_math.h"

namespace g3n::reference {
namespace {

constexpr int kKeys = 32;  // of a block
constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

struct F32Cache {
  static float key(const void* block, int64_t head_dim, int key, int64_t d) {
    return static_cast<const float*>(block)[(key / 16 * head_dim + d) * 16 + key % 16];
  }
  static float value(const void* block, int64_t head_dim, int key, int64_t d) {
    return static_cast<const float*>(block)[key * head_dim + d];
  }
};
struct BF16Cache {
  static float key(const void* block, int64_t head_dim, int key, int64_t d) {
    return bf16_to_f32(static_cast<const bf16_t*>(block)[key / 16 * head_dim * 16 + d / 2 * 32 + key % 16 * 2 + d % 2]);
  }
  static float value(const void* block, int64_t head_dim, int key, int64_t d) {
    return bf16_to_f32(static_cast<const bf16_t*>(block)[key * head_dim + d]);
  }
};

template <typename Cache>
float score(const float* q, const void* block, int64_t head_dim, int key) {
  float total = 0.0f;
  for (int64_t begin = 0; begin < head_dim; begin += 32) {
    float sum = 0.0f;
    for (int64_t d = begin; d < std::min(begin + 32, head_dim); ++d) sum = std::fma(q[d], Cache::key(block, head_dim, key, d), sum);
    total += sum;
  }
  return total;
}

// Keys first .. last of the block join the state: weights relative to the running maximum, then V.
template <typename Cache>
void join_block(const AttentionRow& row, int64_t head_dim, const void* keys, const void* values, int first, int last) {
  float *sum = row.state, &maximum = row.state[head_dim], &weights = row.state[head_dim + 1];
  float p[kKeys] = {}, top = maximum;
  for (int k = first; k < last; ++k) p[k] = score<Cache>(row.q, keys, head_dim, k), top = max2(top, p[k]);
  for (int k = first; k < last; ++k) p[k] = exp1(p[k] - top);
  const float correction = exp1(maximum - top);
  Lanes lanes;
  for (int k = 0; k < 16; ++k) lanes.lane[k] = p[k] + p[k + 16];
  maximum = top;
  weights = std::fma(weights, correction, lanes.sum());
  for (int64_t d = 0; d < head_dim; ++d) {
    float block = 0.0f;
    for (int k = first; k < last; ++k) block = std::fma(p[k], Cache::value(values, head_dim, k, d), block);
    sum[d] = std::fma(sum[d], correction, block);
  }
}

template <typename Cache>
void attention(const AttentionSegment& a) {
  for (int64_t r = 0; r < a.row_count; ++r) {
    const AttentionRow& row = a.rows[r];
    for (int64_t d = 0; d < a.head_dim; ++d) row.state[d] = 0.0f;
    row.state[a.head_dim] = kMinusInfinity;
    row.state[a.head_dim + 1] = 0.0f;
    for (int64_t b = 0; b < a.block_count; ++b) {
      const int64_t base = (a.first_block + b) * kKeys;
      const int64_t first = std::max(row.begin, base) - base, last = std::min(row.end, base + kKeys) - base;
      if (first < last) join_block<Cache>(row, a.head_dim, a.keys[b], a.values[b], static_cast<int>(first), static_cast<int>(last));
    }
  }
}

}  // namespace

void attention_f32(const AttentionSegment& a) { attention<F32Cache>(a); }
void attention_bf16(const AttentionSegment& a) { attention<BF16Cache>(a); }

void attention_merge(const float* states, int64_t step, int64_t segments, int64_t head_dim, float* out) {
  float top = kMinusInfinity, weights = 0.0f;
  for (int64_t s = 0; s < segments; ++s)
    if (states[s * step + head_dim + 1] != 0.0f) top = max2(top, states[s * step + head_dim]);
  for (int64_t d = 0; d < head_dim; ++d) out[d] = 0.0f;
  for (int64_t s = 0; s < segments; ++s) {
    const float* state = states + s * step;
    if (state[head_dim + 1] == 0.0f) continue;
    const float share = exp1(state[head_dim] - top);
    weights = std::fma(state[head_dim + 1], share, weights);
    for (int64_t d = 0; d < head_dim; ++d) out[d] = std::fma(state[d], share, out[d]);
  }
  for (int64_t d = 0; d < head_dim; ++d) out[d] /= weights;
}

}  // namespace g3n::reference
