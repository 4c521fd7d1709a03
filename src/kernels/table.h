// KernelTable: raw, single-threaded kernels over row ranges, one table per instruction set, chosen at run time (G3N_ISA
// overrides). All pointers are valid for the stated extents, never alias unless said, and no kernel throws. Layers use
// ops.h instead.
//
// Order of sums (design.md 3.8), the same in every table: along a row 16 lanes (element i in lane i mod 16) and one
// tree, lane l with l + 8, then l + 4, l + 2, l + 1; in panels lane = output, inputs ascending in blocks of 32, a block
// starts at +0 and is added to the total.
#pragma once
#include <cstdint>

#include "core/dtype.h"

namespace g3n {

// Rows of x against consecutive panels of one weight.
struct PanelMatmul {
  const void*
      x;  // [rows, cols], f32 or bf16 as the function says; bf16 rows: 4-byte aligned, an odd one followed by a zero
  int64_t x_step;  // elements between rows of x
  int64_t rows;
  const void* weight;  // first panel
  int64_t panel_step;  // bytes between panels
  int64_t cols;        // logical inputs: x is not read beyond them
  float* out;          // [rows, outputs]
  int64_t out_step;    // elements between rows of out
  int64_t outputs;     // logical outputs, counted from the first panel: lanes beyond are not stored
};

inline constexpr float kLeastMagnitude = 0x1p-100f;  // a block of activations with less counts as zero

// Activations for weights in codes: int8 per block of 32 inputs. scale = largest magnitude / 127, code = x * (127 /
// largest) to the nearest, ties to even.
struct QuantizedRows {
  const int8_t* codes;  // [rows, code_step]: cols rounded up to 64, zero beyond cols
  int64_t code_step;    // a multiple of 64
  const float* scales;  // [rows, code_step / 32]; NaN for a block with a value that is not finite
  const int32_t*
      starts;  // [rows, code_step / 32]: -8 * sum of a block's codes: where the integer sums of unsigned q4 codes start
  const int32_t* half_starts =
      nullptr;                    // for panels of q6k: [rows, code_step / 16]: -32 * sum of the codes of half a block
  const float* minima = nullptr;  // for types with minima: [rows, code_step / 32]: -(scale * sum of a block's codes)
};
// Rows of x against consecutive panels of one weight in codes. Block by block (q6k: half by half), w = scale of w, of
// super-blocks the product of its two: total = fma(scale of x * w, float(sum of code products), total); with a minimum
// of w (dmin * mn) then total = fma(minimum of x, minimum of w, total).
struct QuantMatmul {
  QuantizedRows x;
  int64_t rows;
  const void* weight;  // first panel
  int64_t panel_step;  // bytes between panels
  int64_t cols;        // inputs, rounded up to 64
  float* out;          // [rows, outputs]
  int64_t out_step;    // elements between rows of out
  int64_t outputs;     // logical outputs, counted from the first panel: lanes beyond are not stored
};

// Neurons picked one by one. Weights row-major [neurons, width], bf16 or f32.
struct NeuronDot {  // out[i] = dot(x row rows[i], weight row neurons[i]), 16 lanes and the tree; fastest where the
                    // entries of a neuron are neighbours
  const float* x;   // [rows, x_step]
  int64_t x_step, width;  // width is logical
  const void* weight;
  int64_t step;  // bytes between neurons
  const int32_t *neurons, *rows;
  int64_t count;
  float* out;  // [count]
};
struct NeuronSum {  // out += sum over live neurons, ascending, in groups of 32 neuron numbers: a group starts at +0 and
                    // is added once
  const int32_t* neurons;  // ascending neuron numbers
  const float* values;     // [count]
  int64_t count;
  const void* weight;
  int64_t step;
  int64_t first, width;  // columns first .. first + width of the neuron rows; first is a multiple of 16
  float* out;            // [width], column `first` at out[0]
};

// The same with weights in codes: q8 and q4 rows of kRows, of other types blocks as the file has them (kBlocks);
// kNeurons. Integers are exact within a block of 32; w: scale of w, of super-blocks the product of its two.
struct QuantNeuronDot {  // lane (block % 2) * 8 + input % 32 / 4: lane = fma(scale of x * w, float(sum of its four code
                         // products), lane), then the tree; with a minimum of w, lanes block % 16 of a second vector:
                         // lane = fma(minimum of x, minimum of w, lane), its tree added to the other
  QuantizedRows x;
  int64_t cols;  // inputs; of kRows rounded up to 64
  const void* weight;
  int64_t step;
  const int32_t *neurons, *rows;
  int64_t count;
  float* out;  // [count]
};
struct NeuronPair {  // two live neurons of a group (0..31) and the codes of their values; a lone one has itself, times
                     // 0, for a partner
  uint8_t a, b;
  int8_t a_code, b_code;
};
struct LiveRow {  // a row with live neurons in a group: its values in int8 as a block of QuantizedRows
  int32_t row;
  int32_t pairs;  // at least 1, at most 16; ascending, and in q6k none of neurons on both sides of 16
  float scale;
  int32_t start;
};
struct QuantNeuronSum {  // one group of 32 neurons; rows in any order, fastest by number of pairs. out = fma(scale of
                         // the values * w, float(sum of code products over the live neurons), out); q6k: each half of
                         // the group with live neurons in turn; with a minimum of w then out = fma(scale of the values
                         // * float(-sum of their codes), minimum of w, out)
  const LiveRow* live;
  int64_t count;
  const NeuronPair* pairs;  // of all these rows, one after the other
  uint32_t neurons;         // bit by bit, those that occur in pairs
  const void* group;
  const void* head;      // planes of scales of this and its neighbouring groups (core/weight.h); types without: unused
  int64_t outputs;       // of the weight, rounded up to 128
  int64_t first, width;  // columns; first is a multiple of 64
  float* out;            // [rows, out_step], column `first` of row 0 at out[0]
  int64_t out_step;
};

// Attention of some query rows of one KV head over one block of 32 keys after the other, within one segment. A block in
// q8, its dims padded to 32 with zeros: K: codes + 128 as unsigned [2 panels][dims / 32][8][16 keys][4 dims], then f16
// scales [dims / 32][32 keys]; V: codes [32 keys][dims], then f16 scales [dims / 32][32 keys]. A score is a sum as in
// QuantMatmul; V joins as fma(weight * scale, code, sum).
struct AttentionRow {
  const void* q;  // [head_dim] f32; attention_bf16_bf16: bf16, 4-byte aligned; attention_q8: int8 codes, zero up to a
                  // multiple of 64
  int64_t begin, end;  // visible absolute keys; may reach beyond the segment or be empty within it
  float* state;  // [head_dim + 2]: weighted sum of V, then running maximum, then sum of weights; set by the kernel (not
                 // read)
  const float* q_scales = nullptr;  // attention_q8: per 32 dims, as in QuantizedRows
  const int32_t* q_starts = nullptr;
};
struct AttentionSegment {
  const AttentionRow* rows;
  int64_t row_count;
  int64_t head_dim;
  int64_t first_block, block_count;  // absolute blocks of 32 keys
  const void* const* keys;  // [block_count] K of a block: two panels of 16 keys, f32: [head_dim][16], bf16: [head_dim /
                            // 2][16][2]; q8: above
  const void* const* values;  // [block_count] V of a block: 32 rows of [head_dim]; q8: above
};

struct DepthwiseConv {  // one output row of a channels-last map; taps outside the map are skipped
  const float* x;       // [height, width, channels]
  int64_t height, width, channels;
  const float* weight;  // [kernel_h * kernel_w, channels]
  int64_t kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left;
  int64_t out_row, out_width;
  float* out;  // [out_width, channels]
};

// Products with weights in codes of one type.
struct CodeKernels {
  void (*matmul)(const QuantMatmul&);
  void (*neuron_dot)(const QuantNeuronDot&);
  void (*neuron_sum)(const QuantNeuronSum&);
};

struct KernelTable {
  const char* name;    // "reference", "avx2", "avx2_vnni", "avx512", "avx512_vnni", "avx512_bf16", "neon", "neon_dot"
  bool (*runnable)();  // does this CPU have the instructions
  const char* below;   // of an ISA unit's own table: the name of the one that what it leaves null is taken from; null
                       // in every table that TableList gives, they are whole
  bool bf16_dot;       // matmul_bf16_bf16 exists and takes bf16 x; else bf16 compute uses matmul_bf16 on rounded f32

  // Dense products.
  void (*matmul_f32)(const PanelMatmul&);        // f32 panels, f32 x
  void (*matmul_bf16)(const PanelMatmul&);       // bf16 panels, f32 x
  void (*matmul_bf16_bf16)(const PanelMatmul&);  // bf16 panels, bf16 x; null unless bf16_dot
  void (*round_bf16)(const float* x, float* out,
                     int64_t n);  // f32 values rounded to bf16, kept in f32; out may alias x
  void (*to_bf16)(const float* x, bf16_t* out, int64_t n);
  void (*from_bf16)(const bf16_t* x, float scale, float* out, int64_t n);  // out = f32(x) * scale
  // One row of `cols` values: codes [round_up(cols, 64)], scales and starts to match.
  void (*quantize_row)(const float* x, int64_t cols, int8_t* codes, float* scales, int32_t* starts);

  // Sparse products.
  int64_t (*live_masks)(
      const float* x, int64_t n, uint32_t* masks,
      int64_t step);  // bit i of masks[g * step]: x[32 g + i] is not 0 (NaN is not); returns their number
  void (*neuron_dot_f32)(const NeuronDot&);
  void (*neuron_dot_bf16)(const NeuronDot&);
  void (*neuron_sum_f32)(const NeuronSum&);
  void (*neuron_sum_bf16)(const NeuronSum&);

  // Dense and sparse products with weights in codes, by their type.
  CodeKernels q8, q4, q4_1, q5_0, q5_1, q4k, q5k, q6k, iq4nl, iq4xs;

  // Attention.
  void (*attention_f32)(const AttentionSegment&);        // K and V in f32
  void (*attention_bf16)(const AttentionSegment&);       // K and V in bf16, q in f32
  void (*attention_bf16_bf16)(const AttentionSegment&);  // scores from bf16 q, two dims at a time; null unless bf16_dot
  void (*attention_q8)(const AttentionSegment&);
  // out[head_dim] from `segments` states (step floats apart) of one row, ascending; a state with weight sum 0 is
  // skipped.
  void (*attention_merge)(const float* states, int64_t step, int64_t segments, int64_t head_dim, float* out);

  // Row-wise; out may alias x where both appear.
  void (*rms_norm)(const float* x, const float* weight, float* out, int64_t rows, int64_t cols,
                   float eps);  // rows contiguous; weight may be null
  void (*match_magnitude)(const float* x, const float* target, float* out, int64_t cols,
                          float floor);                    // out = x * rms(target) / sqrt(max(mean(x^2), floor))
  void (*gaussian_topk)(float* x, int64_t cols, float z);  // x = max(0, x - (mean + z * population std))
  void (*softmax)(float* x, int64_t cols);                 // max-subtracted, in place
  float (*dot)(const float* a, const float* b, int64_t n);

  // Element-wise over n values; out may alias an input.
  void (*add)(const float* a, const float* b, float* out, int64_t n);
  void (*add3_scaled)(const float* a, const float* b, const float* c, float divisor, float* out,
                      int64_t n);                                                          // (a + b + c) / divisor
  void (*add_scaled)(const float* a, const float* b, float scale, float* out, int64_t n);  // fma(b, scale, a)
  // out_i = h_i + sum_j coefs[i * streams + j] * h_j, j ascending, fma; streams at most 64; out_i may be h_i.
  void (*mix_streams)(const float* const* h, int64_t streams, const float* coefs, float* const* out, int64_t n);
  void (*mul)(const float* a, const float* b, float* out, int64_t n);
  void (*mul_add)(const float* a, const float* b, const float* c, float* out,
                  int64_t n);  // fma(a, b, c); c may be null (0)
  void (*scale)(const float* a, float factor, float* out, int64_t n);
  void (*gelu)(const float* a, float* out, int64_t n);                      // tanh form
  void (*gelu_mul)(const float* a, const float* b, float* out, int64_t n);  // gelu(a) * b
  void (*silu)(const float* a, float* out, int64_t n);
  void (*sigmoid_mul)(const float* a, const float* b, float* out, int64_t n);          // a * sigmoid(b)
  void (*tanh_scaled)(const float* a, float in, float factor, float* out, int64_t n);  // factor * tanh(a * in)
  void (*clamp)(const float* a, float limit, float* out, int64_t n);                   // to [-limit, limit]
  void (*relu)(const float* a, float* out, int64_t n);
  void (*exp)(const float* a, float* out, int64_t n);
  void (*rope)(float* x, const float* cos, const float* sin, int64_t half);  // rotates one head in place; x [2 * half]

  void (*depthwise_conv)(const DepthwiseConv&);
};

inline constexpr CodeKernels KernelTable::*kCodeTypes[] = {
    &KernelTable::q8,  &KernelTable::q4,  &KernelTable::q4_1, &KernelTable::q5_0,  &KernelTable::q5_1,
    &KernelTable::q4k, &KernelTable::q5k, &KernelTable::q6k,  &KernelTable::iq4nl, &KernelTable::iq4xs};

// Every table of this build, best last; reference first. Those this CPU can run; the one to use.
struct TableList {
  const KernelTable* const* tables;
  int count;
};
TableList all_kernels();
TableList runnable_kernels();
// The best runnable table, or the one that G3N_ISA names; Error{kInvalidArgument} lists the choices if that is not one.
const KernelTable& best_kernels();
extern const KernelTable kReferenceKernels;

}  // namespace g3n
