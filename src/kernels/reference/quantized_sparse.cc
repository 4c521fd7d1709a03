// Products of the reference table with single q8 and q4 neurons.
#include <algorithm>
#include <cmath>

#include "core/weight.h"
#include "kernels/reference/reference.h"

namespace g3n::reference {
namespace {

// Signed code i of a row of codes: a row of kRows, or one neuron of kNeurons.
struct Q8Codes {
  static constexpr DType kType = DType::kQ8_0;
  static int code(const std::byte* codes, int64_t i) { return static_cast<int8_t>(codes[i]); }
};
struct Q4Codes {
  static constexpr DType kType = DType::kQ4_0;
  static int code(const std::byte* codes, int64_t i) {
    const int both = static_cast<int>(codes[i / 64 * 32 + i % 32]);
    return (i % 64 < 32 ? both & 15 : both >> 4) - 8;
  }
};

template <typename Codes>
void neuron_dot(const QuantNeuronDot& d) {
  for (int64_t i = 0; i < d.count; ++i) {
    const std::byte* codes = static_cast<const std::byte*>(d.weight) + d.neurons[i] * d.step;
    const auto* scales = reinterpret_cast<const uint16_t*>(codes + code_bytes(Codes::kType, d.cols));
    const int8_t* x = d.x.codes + d.rows[i] * d.x.code_step;
    const float* x_scales = d.x.scales + d.rows[i] * (d.x.code_step / 32);
    Lanes sum;
    for (int64_t b = 0; b < d.cols / 32; ++b)
      for (int64_t four = 0; four < 8; ++four) {
        int products = 0;
        for (int64_t k = b * 32 + four * 4; k < b * 32 + four * 4 + 4; ++k) products += Codes::code(codes, k) * x[k];
        float& lane = sum.lane[b % 2 * 8 + four];
        lane = std::fma(x_scales[b] * f16_to_f32(scales[b]), static_cast<float>(products), lane);
      }
    d.out[i] = sum.sum();
  }
}

template <typename Codes>
void neuron_sum(const QuantNeuronSum& s) {
  const auto* scales = static_cast<const uint16_t*>(s.group);
  const std::byte* codes = static_cast<const std::byte*>(s.group) + s.outputs * 2;
  const int64_t step = code_bytes(Codes::kType, s.outputs);
  const NeuronPair* pair = s.pairs;
  for (int64_t i = 0; i < s.count; pair += s.live[i++].pairs)
    for (int64_t c = s.first; c < s.first + s.width; ++c) {
      int sum = 0;
      for (int32_t p = 0; p < s.live[i].pairs; ++p)
        sum += pair[p].a_code * Codes::code(codes + pair[p].a * step, c) +
               pair[p].b_code * Codes::code(codes + pair[p].b * step, c);
      float& out = s.out[s.live[i].row * s.out_step + c - s.first];
      out = std::fma(s.live[i].scale * f16_to_f32(scales[c]), static_cast<float>(sum), out);
    }
}

}  // namespace

int64_t live_masks(const float* x, int64_t n, uint32_t* masks, int64_t step) {
  for (int64_t g = 0; g * 32 < n; ++g) {
    masks[g * step] = 0;
    for (int64_t i = g * 32; i < std::min(n, g * 32 + 32); ++i) masks[g * step] |= uint32_t{x[i] != 0.0f} << i % 32;
  }
  return std::count_if(x, x + n, [](float v) { return v != 0.0f; });
}
void neuron_dot_q8(const QuantNeuronDot& d) { neuron_dot<Q8Codes>(d); }
void neuron_dot_q4(const QuantNeuronDot& d) { neuron_dot<Q4Codes>(d); }
void neuron_sum_q8(const QuantNeuronSum& s) { neuron_sum<Q8Codes>(s); }
void neuron_sum_q4(const QuantNeuronSum& s) { neuron_sum<Q4Codes>(s); }

}  // namespace g3n::reference
