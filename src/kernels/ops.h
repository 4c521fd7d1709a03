// Checked, threaded functions on views: the only kernels header that layers include. Shapes are in the comments and
// checked; `out` may alias an input of the same shape unless said otherwise. Results do not depend on the number of
// threads or on which other rows are in the call (design.md 3.8).
#pragma once
#include <cstdint>
#include <initializer_list>
#include <span>

#include "core/context.h"
#include "core/view.h"
#include "core/weight.h"

namespace g3n {

// ---- products
// ---------------------------------------------------------------------------------------------------------------------

struct Product {
  const WeightView& weight;  // [out, in] in panels or blocks
  View<float, 2> out;        // [rows, out]
};

// out = x * weight^T. Under ComputeType::kBF16 x is rounded to bf16 first; for q8 and q4 weights x goes to int8,
// whatever the compute type. x must not alias out.
void matmul(Context& ctx, View<const float, 2> x, const WeightView& weight, View<float, 2> out);
// Several weights on the same x: it is rounded or quantised once, and the threads see one loop.
void matmul(Context& ctx, View<const float, 2> x, std::initializer_list<Product> products);
// The same in f32 whatever the compute type: routers and AltUp coefficients.
void matmul_f32(Context& ctx, View<const float, 2> x, const WeightView& weight, View<float, 2> out);

// The second half of a sparse feed-forward, skipping neurons whose gate is exactly 0:
//   out = down * (gelu(gate) * (up * x))     gate after gaussian_topk
void sparse_feed_forward(Context& ctx, View<const float, 2> x,  // [rows, hidden]
                         View<const float, 2> gate,             // [rows, ffn]
                         const WeightView& up,                  // [ffn, hidden], kRows; types that come in blocks
                                                                // (is_file_type): kBlocks
                         const WeightView& down,                // [hidden, ffn], kNeurons
                         View<float, 2> out);                   // [rows, hidden]; must not alias x

// ---- tables (embeddings): row-major, as in the file
// ---------------------------------------------------------------------------------

// out[i] = table[ids[i]][first_col .. first_col + out.dim[1]) * scale; ids are in range. Error{kBadFile} if the file
// cannot be read.
void gather_rows(Context& ctx, const TableView& table, std::span<const int32_t> ids, int64_t first_col, float scale,
                 View<float, 2> out);

// ---- rows
// -------------------------------------------------------------------------------------------------------------------------

// RMSNorm of each group of `weight.dim[0]` (or, with a null weight, `group`) values of a row. group 0: the whole row.
void rms_norm(Context& ctx, View<const float, 2> x, View<const float, 1> weight, float eps, View<float, 2> out,
              int64_t group = 0);
// out = x * rms(target) / sqrt(max(mean(x^2), floor)), row by row.
void match_magnitude(Context& ctx, View<const float, 2> x, View<const float, 2> target, float floor,
                     View<float, 2> out);
// x = max(0, x - (mean + z * population standard deviation)), row by row.
void gaussian_topk(Context& ctx, View<float, 2> x, float z);

// ---- element by element
// -------------------------------------------------------------------------------------------------------------

void add(Context& ctx, View<const float, 2> a, View<const float, 2> b, View<float, 2> out);
void add3_scaled(Context& ctx, View<const float, 2> a, View<const float, 2> b, View<const float, 2> c, float divisor,
                 View<float, 2> out);  // (a+b+c)/divisor
void add_scaled(Context& ctx, View<const float, 2> a, View<const float, 2> b, float scale,
                View<float, 2> out);  // a + scale * b
void mul(Context& ctx, View<const float, 2> a, View<const float, 2> b, View<float, 2> out);
void mul_row(Context& ctx, View<const float, 2> a, View<const float, 1> row,
             View<float, 2> out);  // a * row, row broadcast
// a * row + c, row broadcast; a null c is 0. Layer scale with residual.
void mul_row_add(Context& ctx, View<const float, 2> a, View<const float, 1> row, View<const float, 2> c,
                 View<float, 2> out);
void add_row(Context& ctx, View<const float, 2> a, View<const float, 1> row,
             View<float, 2> out);  // a + row, row broadcast
void scale(Context& ctx, View<const float, 2> a, float factor, View<float, 2> out);
void gelu(Context& ctx, View<const float, 2> a, View<float, 2> out);
void gelu_mul(Context& ctx, View<const float, 2> a, View<const float, 2> b, View<float, 2> out);  // gelu(a) * b
void silu(Context& ctx, View<const float, 2> a, View<float, 2> out);
void sigmoid_mul(Context& ctx, View<const float, 2> a, View<const float, 2> b, View<float, 2> out);  // a * sigmoid(b)
void tanh_scaled(Context& ctx, View<const float, 2> a, float in, float factor,
                 View<float, 2> out);  // factor * tanh(in * a)
void clamp(Context& ctx, View<const float, 2> a, float limit, View<float, 2> out);
void relu(Context& ctx, View<const float, 2> a, View<float, 2> out);
void copy(Context& ctx, View<const float, 2> a, View<float, 2> out);

// ---- AltUp: streams [streams, tokens, hidden]
// ---------------------------------------------------------------------------------------

// out_i = h_i + sum_j coefs[t][i * streams + j] * h_j (j ascending, fma). At most 64 streams; out may alias h.
void altup_predict(Context& ctx, View<const float, 3> h, View<const float, 2> coefs, View<float, 3> out);
// out_i = p_i + (coefs[t][i] + 1) * (activated - p_active). out may alias p.
void altup_correct(Context& ctx, View<const float, 3> p, View<const float, 2> coefs, View<const float, 2> activated,
                   int64_t active, View<float, 3> out);
// out = (r_0 + ... + r_n-1) / n.
void mean_planes(Context& ctx, View<const float, 3> planes, View<float, 2> out);

// ---- attention
// ----------------------------------------------------------------------------------------------------------------------

inline constexpr int64_t kKeyBlock = 32;      // keys; blocks lie at absolute multiples
inline constexpr int64_t kKeySegment = 1024;  // keys of one online softmax

// K and V of one layer and one sequence. A page holds, per KV head, K of page_positions keys in blocks of 32 (two
// panels of 16), then V in blocks of 32 rows (table.h: AttentionSegment). What is kept of a position depends on that
// position alone.
struct KeyValues {
  DType dtype = DType::kF32;           // f32, bf16 or q8 (kQ8_0)
  int64_t kv_heads = 0, head_dim = 0;  // head_dim even; q8 pads it to a multiple of 32
  std::span<std::byte* const> pages;   // by position; null where no row sees any of a page
  int64_t page_positions = 0;          // a multiple of 32
};
// K or V of 32 positions of one KV head; in q8 a byte per dim and an f16 scale per 32.
constexpr int64_t kv_block_bytes(DType dtype, int64_t head_dim) {
  return kKeyBlock * (dtype == DType::kQ8_0 ? round_up(head_dim, 32) / 32 * 34 : head_dim * dtype_bytes(dtype));
}
constexpr int64_t kv_page_bytes(DType dtype, int64_t kv_heads, int64_t head_dim, int64_t page_positions) {
  return 2 * kv_heads * page_positions / kKeyBlock * kv_block_bytes(dtype, head_dim);
}
// Writes K and V of positions first .. first + k.dim[0]; k, v: [tokens, kv_heads*head_dim].
void kv_append(Context& ctx, const KeyValues& kv, int64_t first_position, View<const float, 2> k,
               View<const float, 2> v);

struct KeyRange {
  int64_t begin, end;  // absolute keys that a query row sees; not empty
};
struct AttentionSequence {
  KeyValues kv;
  int64_t first_row;  // rows first_row .. + visible.size() of q and out
  std::span<const KeyRange> visible;
};
// out_row = softmax(q_row . K) V per head, no scale (the caller scales q); head h reads KV head h / (heads / kv_heads).
void attention(Context& ctx, View<const float, 2> q,  // [rows, heads*head_dim]
               int64_t heads, std::span<const AttentionSequence> sequences,
               View<float, 2> out);  // [rows, heads*head_dim]; must not alias q

// Rotates each head of x in place; cos, sin: [tokens, head_dim / 2].
void rope(Context& ctx, View<float, 2> x, View<const float, 2> cos, View<const float, 2> sin);

// ---- convolutions on channels-last maps
// -----------------------------------------------------------------------------------------------

struct ConvShape {
  int64_t kernel_h, kernel_w, stride_h, stride_w;
  int64_t pad_top, pad_left;  // zeros before; what is missing after is zero, too
  int64_t out_h, out_w;
};
// Full convolution: weight [out_channels, kernel_h * kernel_w * channels] in panels, inputs in the order (ky, kx,
// channel).
void conv2d(Context& ctx, View<const float, 3> x, const ConvShape& shape, const WeightView& weight,
            View<float, 2> out);  // x: [h, w, channels]; out: [out_h * out_w, out_channels]
// One filter per channel: weight [kernel_h * kernel_w, channels].
void depthwise_conv2d(Context& ctx, View<const float, 3> x, const ConvShape& shape, View<const float, 2> weight,
                      View<float, 3> out);  // out: [out_h, out_w, channels]

// Splits rows [0, rows) over the threads: f(begin, end), single-threaded kernels inside. cost: values touched per row.
void for_rows(Context& ctx, int64_t rows, int64_t cost, RangeFunction f);

}  // namespace g3n
