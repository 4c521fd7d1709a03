// Element-wise kernels of the reference table, and the table itself.
#include <cmath>

#include "kernels/reference/reference.h"
#include "kernels/reference/scalar_math.h"

namespace g3n {
namespace reference {

void add(const float* a, const float* b, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = a[i] + b[i];
}
void add3_scaled(const float* a, const float* b, const float* c, float divisor, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = (a[i] + b[i] + c[i]) / divisor;
}
void add_scaled(const float* a, const float* b, float scale, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = std::fma(b[i], scale, a[i]);
}
void mix_streams(const float* const* h, int64_t streams, const float* coefs, float* const* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    float before[64];
    for (int64_t s = 0; s < streams; ++s) before[s] = h[s][i];
    for (int64_t s = 0; s < streams; ++s) {
      float sum = before[s];
      for (int64_t j = 0; j < streams; ++j) sum = std::fma(before[j], coefs[s * streams + j], sum);
      out[s][i] = sum;
    }
  }
}
void mul(const float* a, const float* b, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = a[i] * b[i];
}
void mul_add(const float* a, const float* b, const float* c, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = std::fma(a[i], b[i], c ? c[i] : 0.0f);
}
void scale(const float* a, float factor, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = a[i] * factor;
}
void gelu(const float* a, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = gelu1(a[i]);
}
void gelu_mul(const float* a, const float* b, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = gelu1(a[i]) * b[i];
}
void silu(const float* a, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = silu1(a[i]);
}
void sigmoid_mul(const float* a, const float* b, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = a[i] * sigmoid1(b[i]);
}
void tanh_scaled(const float* a, float in, float factor, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = factor * tanh1(in * a[i]);
}
void clamp(const float* a, float limit, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = min2(limit, max2(-limit, a[i]));
}
void relu(const float* a, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = max2(0.0f, a[i]);
}
void exp(const float* a, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = exp1(a[i]);
}

}  // namespace reference

const KernelTable kReferenceKernels = {
    .name = "reference",
    .runnable = [] { return true; },
    .bf16_dot = true,
    .matmul_f32 = reference::matmul_f32,
    .matmul_bf16 = reference::matmul_bf16,
    .matmul_bf16_bf16 = reference::matmul_bf16_bf16,
    .round_bf16 = reference::round_bf16,
    .to_bf16 = reference::to_bf16,
    .from_bf16 = reference::from_bf16,
    .quantize_row = reference::quantize_row,
    .live_masks = reference::live_masks,
    .neuron_dot_f32 = reference::neuron_dot_f32,
    .neuron_dot_bf16 = reference::neuron_dot_bf16,
    .neuron_sum_f32 = reference::neuron_sum_f32,
    .neuron_sum_bf16 = reference::neuron_sum_bf16,
    .q8 = {reference::matmul_q8, reference::neuron_dot_q8, reference::neuron_sum_q8},
    .q4 = {reference::matmul_q4, reference::neuron_dot_q4, reference::neuron_sum_q4},
    .q4_1 = {reference::matmul_q4_1, reference::neuron_dot_q4_1, reference::neuron_sum_q4_1},
    .q5_0 = {reference::matmul_q5_0, reference::neuron_dot_q5_0, reference::neuron_sum_q5_0},
    .q5_1 = {reference::matmul_q5_1, reference::neuron_dot_q5_1, reference::neuron_sum_q5_1},
    .q4k = {reference::matmul_q4k, reference::neuron_dot_q4k, reference::neuron_sum_q4k},
    .q5k = {reference::matmul_q5k, reference::neuron_dot_q5k, reference::neuron_sum_q5k},
    .q6k = {reference::matmul_q6k, reference::neuron_dot_q6k, reference::neuron_sum_q6k},
    .iq4nl = {reference::matmul_iq4nl, reference::neuron_dot_iq4nl, reference::neuron_sum_iq4nl},
    .iq4xs = {reference::matmul_iq4xs, reference::neuron_dot_iq4xs, reference::neuron_sum_iq4xs},
    .attention_f32 = reference::attention_f32,
    .attention_bf16 = reference::attention_bf16,
    .attention_bf16_bf16 = reference::attention_bf16_bf16,
    .attention_q8 = reference::attention_q8,
    .attention_merge = reference::attention_merge,
    .rms_norm = reference::rms_norm,
    .match_magnitude = reference::match_magnitude,
    .gaussian_topk = reference::gaussian_topk,
    .softmax = reference::softmax,
    .dot = reference::dot,
    .add = reference::add,
    .add3_scaled = reference::add3_scaled,
    .add_scaled = reference::add_scaled,
    .mix_streams = reference::mix_streams,
    .mul = reference::mul,
    .mul_add = reference::mul_add,
    .scale = reference::scale,
    .gelu = reference::gelu,
    .gelu_mul = reference::gelu_mul,
    .silu = reference::silu,
    .sigmoid_mul = reference::sigmoid_mul,
    .tanh_scaled = reference::tanh_scaled,
    .clamp = reference::clamp,
    .relu = reference::relu,
    .exp = reference::exp,
    .rope = reference::rope,
    .depthwise_conv = reference::depthwise_conv,
};

}  // namespace g3n
