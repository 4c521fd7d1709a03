// The reference table's kernels: plain C++, one value after the other, in the order of sums that table.h states.
#pragma once
#include "kernels/table.h"

namespace g3n::reference {

// 16 lanes and the tree of table.h.
struct Lanes {
  float lane[16] = {};
  float sum() const {
    float t[16];
    for (int i = 0; i < 16; ++i) t[i] = lane[i];
    for (int width = 8; width > 0; width /= 2)
      for (int i = 0; i < width; ++i) t[i] += t[i + width];
    return t[0];
  }
};

// One step of vdpbf16ps: denormals are zero coming in and going out. A pair adds its odd product, then its even one.
float join_pair_product(float sum, bf16_t a, bf16_t b);

void matmul_f32(const PanelMatmul& m);
void matmul_bf16(const PanelMatmul& m);
void matmul_bf16_bf16(const PanelMatmul& m);
void round_bf16(const float* x, float* out, int64_t n);
void to_bf16(const float* x, bf16_t* out, int64_t n);
void from_bf16(const bf16_t* x, float scale, float* out, int64_t n);
void quantize_row(const float* x, int64_t cols, int8_t* codes, float* scales, int32_t* starts);
void neuron_dot_f32(const NeuronDot& d);
void neuron_dot_bf16(const NeuronDot& d);
void neuron_sum_f32(const NeuronSum& s);
void neuron_sum_bf16(const NeuronSum& s);
void matmul_q8(const QuantMatmul& m);
void neuron_dot_q8(const QuantNeuronDot& d);
void neuron_sum_q8(const QuantNeuronSum& s);
void matmul_q4(const QuantMatmul& m);
void neuron_dot_q4(const QuantNeuronDot& d);
void neuron_sum_q4(const QuantNeuronSum& s);
void matmul_q4_1(const QuantMatmul& m);
void neuron_dot_q4_1(const QuantNeuronDot& d);
void neuron_sum_q4_1(const QuantNeuronSum& s);
void matmul_q5_0(const QuantMatmul& m);
void neuron_dot_q5_0(const QuantNeuronDot& d);
void neuron_sum_q5_0(const QuantNeuronSum& s);
void matmul_q5_1(const QuantMatmul& m);
void neuron_dot_q5_1(const QuantNeuronDot& d);
void neuron_sum_q5_1(const QuantNeuronSum& s);
void matmul_q4k(const QuantMatmul& m);
void neuron_dot_q4k(const QuantNeuronDot& d);
void neuron_sum_q4k(const QuantNeuronSum& s);
void matmul_q5k(const QuantMatmul& m);
void neuron_dot_q5k(const QuantNeuronDot& d);
void neuron_sum_q5k(const QuantNeuronSum& s);
void matmul_q6k(const QuantMatmul& m);
void neuron_dot_q6k(const QuantNeuronDot& d);
void neuron_sum_q6k(const QuantNeuronSum& s);
void matmul_iq4nl(const QuantMatmul& m);
void neuron_dot_iq4nl(const QuantNeuronDot& d);
void neuron_sum_iq4nl(const QuantNeuronSum& s);
void matmul_iq4xs(const QuantMatmul& m);
void neuron_dot_iq4xs(const QuantNeuronDot& d);
void neuron_sum_iq4xs(const QuantNeuronSum& s);
int64_t live_masks(const float* x, int64_t n, uint32_t* masks, int64_t step);

void attention_f32(const AttentionSegment& a);
void attention_bf16(const AttentionSegment& a);
void attention_bf16_bf16(const AttentionSegment& a);
void attention_q8(const AttentionSegment& a);
void attention_merge(const float* states, int64_t step, int64_t segments, int64_t head_dim, float* out);

void rms_norm(const float* x, const float* weight, float* out, int64_t rows, int64_t cols, float eps);
void match_magnitude(const float* x, const float* target, float* out, int64_t cols, float floor);
void gaussian_topk(float* x, int64_t cols, float z);
void softmax(float* x, int64_t cols);
float dot(const float* a, const float* b, int64_t n);

void add(const float* a, const float* b, float* out, int64_t n);
void add3_scaled(const float* a, const float* b, const float* c, float divisor, float* out, int64_t n);
void add_scaled(const float* a, const float* b, float scale, float* out, int64_t n);
void mix_streams(const float* const* h, int64_t streams, const float* coefs, float* const* out, int64_t n);
void mul(const float* a, const float* b, float* out, int64_t n);
void mul_add(const float* a, const float* b, const float* c, float* out, int64_t n);
void scale(const float* a, float factor, float* out, int64_t n);
void gelu(const float* a, float* out, int64_t n);
void gelu_mul(const float* a, const float* b, float* out, int64_t n);
void silu(const float* a, float* out, int64_t n);
void sigmoid_mul(const float* a, const float* b, float* out, int64_t n);
void tanh_scaled(const float* a, float in, float factor, float* out, int64_t n);
void clamp(const float* a, float limit, float* out, int64_t n);
void relu(const float* a, float* out, int64_t n);
void exp(const float* a, float* out, int64_t n);
void rope(float* x, const float* cos, const float* sin, int64_t half);
void depthwise_conv(const DepthwiseConv& c);

}  // namespace g3n::reference
