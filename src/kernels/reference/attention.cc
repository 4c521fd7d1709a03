// Attention of the reference table: online softmax over blocks of 32 keys, and the merge of segments.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "kernels/reference/reference.h"
#include "kernels/reference/scalar_math.h"

namespace g3n::reference {
namespace {

constexpr int kKeys = 32;  // of a block
constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

// K and V of a block: the score of a key, and V weighted by p joined to a sum.
template <typename Product>
float blocks_of_dims(int64_t head_dim, Product join) {
  float total = 0.0f;
  for (int64_t begin = 0; begin < head_dim; begin += 32) {
    float sum = 0.0f;
    for (int64_t d = begin; d < std::min(begin + 32, head_dim); ++d) sum = join(sum, d);
    total += sum;
  }
  return total;
}

struct F32Cache {
  static float score(const AttentionRow& row, const void* block, int64_t head_dim, int key) {
    const auto* q = static_cast<const float*>(row.q);
    const auto* k = static_cast<const float*>(block) + key / 16 * head_dim * 16 + key % 16;
    return blocks_of_dims(head_dim, [&](float sum, int64_t d) { return std::fma(q[d], k[d * 16], sum); });
  }
  static float join(float sum, float p, const void* block, int64_t head_dim, int key, int64_t d) {
    return std::fma(p, static_cast<const float*>(block)[key * head_dim + d], sum);
  }
};

struct BF16Cache {
  static bf16_t key_bits(const void* block, int64_t head_dim, int key, int64_t d) {
    return static_cast<const bf16_t*>(block)[key / 16 * head_dim * 16 + d / 2 * 32 + key % 16 * 2 + d % 2];
  }
  static float score(const AttentionRow& row, const void* block, int64_t head_dim, int key) {
    const auto* q = static_cast<const float*>(row.q);
    return blocks_of_dims(head_dim, [&](float sum, int64_t d) {
      return std::fma(q[d], bf16_to_f32(key_bits(block, head_dim, key, d)), sum);
    });
  }
  static float join(float sum, float p, const void* block, int64_t head_dim, int key, int64_t d) {
    return std::fma(p, bf16_to_f32(static_cast<const bf16_t*>(block)[key * head_dim + d]), sum);
  }
};

struct BF16PairCache : BF16Cache {
  static float score(const AttentionRow& row, const void* block, int64_t head_dim, int key) {
    const auto* q = static_cast<const bf16_t*>(row.q);
    return blocks_of_dims(head_dim, [&](float sum, int64_t d) {
      const int64_t other = d ^ 1;  // a pair's odd product comes first
      return join_pair_product(sum, q[other], key_bits(block, head_dim, key, other));
    });
  }
};

struct Q8Cache {
  static int64_t padded(int64_t head_dim) { return (head_dim + 31) / 32 * 32; }
  static float scale(const void* block, int64_t head_dim, int key, int64_t d) {
    const auto* scales =
        reinterpret_cast<const uint16_t*>(static_cast<const std::byte*>(block) + 32 * padded(head_dim));
    return f16_to_f32(scales[d / 32 * 32 + key]);
  }
  static float score(const AttentionRow& row, const void* block, int64_t head_dim, int key) {
    const auto* q = static_cast<const int8_t*>(row.q);
    const auto* codes = static_cast<const uint8_t*>(block) + key / 16 * 16 * padded(head_dim) + key % 16 * 4;
    float total = 0.0f;
    for (int64_t b = 0; b < padded(head_dim) / 32; ++b) {
      int32_t sum = 0;
      for (int64_t d = b * 32; d < (b + 1) * 32; ++d) sum += q[d] * (codes[d / 4 * 64 + d % 4] - 128);
      total = std::fma(row.q_scales[b] * scale(block, head_dim, key, b * 32), static_cast<float>(sum), total);
    }
    return total;
  }
  static float join(float sum, float p, const void* block, int64_t head_dim, int key, int64_t d) {
    return std::fma(p * scale(block, head_dim, key, d),
                    static_cast<float>(static_cast<const int8_t*>(block)[key * padded(head_dim) + d]), sum);
  }
};

// Keys first .. last of the block join the state: weights relative to the running maximum, then V.
template <typename Cache>
void join_block(const AttentionRow& row, int64_t head_dim, const void* keys, const void* values, int first, int last) {
  float *sum = row.state, &maximum = row.state[head_dim], &weights = row.state[head_dim + 1];
  float p[kKeys] = {}, top = maximum;
  for (int k = first; k < last; ++k) p[k] = Cache::score(row, keys, head_dim, k), top = max2(top, p[k]);
  for (int k = first; k < last; ++k) p[k] = exp1(p[k] - top);
  const float correction = exp1(maximum - top);
  Lanes lanes;
  for (int k = 0; k < 16; ++k) lanes.lane[k] = p[k] + p[k + 16];
  maximum = top;
  weights = std::fma(weights, correction, lanes.sum());
  for (int64_t d = 0; d < head_dim; ++d) {
    float block = 0.0f;
    for (int k = first; k < last; ++k) block = Cache::join(block, p[k], values, head_dim, k, d);
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
      if (first < last)
        join_block<Cache>(row, a.head_dim, a.keys[b], a.values[b], static_cast<int>(first), static_cast<int>(last));
    }
  }
}

}  // namespace

void attention_f32(const AttentionSegment& a) { attention<F32Cache>(a); }
void attention_bf16(const AttentionSegment& a) { attention<BF16Cache>(a); }
void attention_bf16_bf16(const AttentionSegment& a) { attention<BF16PairCache>(a); }
void attention_q8(const AttentionSegment& a) { attention<Q8Cache>(a); }

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
