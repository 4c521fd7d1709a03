// Dense and sparse products of the reference table.
#include <algorithm>
#include <cmath>

#include "kernels/reference/reference.h"
#include "kernels/reference/scalar_math.h"

namespace g3n::reference {
namespace {

float flush(float v) { return std::fabs(v) < 0x1p-126f ? std::copysign(0.0f, v) : v; }

}  // namespace

float join_pair_product(float sum, bf16_t a, bf16_t b) {
  return flush(std::fma(flush(bf16_to_f32(a)), flush(bf16_to_f32(b)), sum));
}

namespace {

// Value of input k, output lane of a panel; row-major element k.
struct F32Weight {
  static float panel(const void* panel, int64_t k, int lane) { return static_cast<const float*>(panel)[k * 16 + lane]; }
  static float element(const std::byte* row, int64_t k) { return reinterpret_cast<const float*>(row)[k]; }
};
struct BF16Weight {
  static bf16_t bits(const void* panel, int64_t k, int lane) {
    return static_cast<const bf16_t*>(panel)[k / 2 * 32 + lane * 2 + k % 2];
  }
  static float panel(const void* panel, int64_t k, int lane) { return bf16_to_f32(bits(panel, k, lane)); }
  static float element(const std::byte* row, int64_t k) { return bf16_to_f32(reinterpret_cast<const bf16_t*>(row)[k]); }
};

struct FloatSteps {
  using X = float;
  template <typename W>
  static float block(const float* x, const void* panel, int lane, int64_t begin, int64_t end) {
    float sum = 0.0f;
    for (int64_t k = begin; k < end; ++k) sum = std::fma(x[k], W::panel(panel, k, lane), sum);
    return sum;
  }
};

// As vdpbf16ps.
struct PairSteps {
  using X = bf16_t;
  template <typename W>
  static float block(const bf16_t* x, const void* panel, int lane, int64_t begin, int64_t end) {
    float sum = 0.0f;
    for (int64_t k = begin; k < end; k += 2)
      for (int64_t i : {k + 1, k}) sum = join_pair_product(sum, x[i], W::bits(panel, i, lane));
    return sum;
  }
};

template <typename W, typename Steps>
void panel_matmul(const PanelMatmul& m) {
  for (int64_t row = 0; row < m.rows; ++row) {
    const auto* x = static_cast<const typename Steps::X*>(m.x) + row * m.x_step;
    for (int64_t o = 0; o < m.outputs; ++o) {
      const void* panel = static_cast<const std::byte*>(m.weight) + o / 16 * m.panel_step;
      float total = 0.0f;
      for (int64_t k = 0; k < m.cols; k += 32)
        total += Steps::template block<W>(x, panel, static_cast<int>(o % 16), k, std::min(k + 32, m.cols));
      m.out[row * m.out_step + o] = total;
    }
  }
}

template <typename W>
void neuron_dot(const NeuronDot& d) {
  for (int64_t i = 0; i < d.count; ++i) {
    const std::byte* row = static_cast<const std::byte*>(d.weight) + d.neurons[i] * d.step;
    const float* x = d.x + d.rows[i] * d.x_step;
    Lanes sum;
    for (int64_t k = 0; k < d.width; ++k) sum.lane[k % 16] = std::fma(x[k], W::element(row, k), sum.lane[k % 16]);
    d.out[i] = sum.sum();
  }
}

template <typename W>
void neuron_sum(const NeuronSum& s) {
  for (int64_t begin = 0, end = 0; begin < s.count; begin = end) {
    while (end < s.count && s.neurons[end] / 32 == s.neurons[begin] / 32) ++end;
    for (int64_t c = 0; c < s.width; ++c) {
      float group = 0.0f;
      for (int64_t i = begin; i < end; ++i) {
        const std::byte* row = static_cast<const std::byte*>(s.weight) + s.neurons[i] * s.step;
        group = std::fma(s.values[i], W::element(row, s.first + c), group);
      }
      s.out[c] += group;
    }
  }
}

}  // namespace

void matmul_f32(const PanelMatmul& m) { panel_matmul<F32Weight, FloatSteps>(m); }
void matmul_bf16(const PanelMatmul& m) { panel_matmul<BF16Weight, FloatSteps>(m); }
void matmul_bf16_bf16(const PanelMatmul& m) { panel_matmul<BF16Weight, PairSteps>(m); }
void neuron_dot_f32(const NeuronDot& d) { neuron_dot<F32Weight>(d); }
void neuron_dot_bf16(const NeuronDot& d) { neuron_dot<BF16Weight>(d); }
void neuron_sum_f32(const NeuronSum& s) { neuron_sum<F32Weight>(s); }
void neuron_sum_bf16(const NeuronSum& s) { neuron_sum<BF16Weight>(s); }

void round_bf16(const float* x, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = bf16_to_f32(f32_to_bf16(x[i]));
}
void to_bf16(const float* x, bf16_t* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = f32_to_bf16(x[i]);
}
void from_bf16(const bf16_t* x, float scale, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = bf16_to_f32(x[i]) * scale;
}

}  // namespace g3n::reference
