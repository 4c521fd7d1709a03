// Shared by the ops_*.cc files: checks and the splitting of work over threads.
#pragma once
#include <algorithm>
#include <cstdint>

#include "kernels/ops.h"
#include "kernels/table.h"

namespace g3n {

// Below this many values (or multiply-adds, counted an eighth) a loop stays on the calling thread: waking one costs
// more.
inline constexpr int64_t kSerialValues = 16384;

inline constexpr int64_t kPiece = 4096;  // values of one row that an element-wise loop takes at once

// A null weight, a layout or type that the op cannot use: Error{kInternal} naming the op.
void expect_weight(const WeightView& weight, Layout layout, const char* op);
void expect(bool condition, const char* message);  // Error{kInternal}

// f(row, first column, count) over pieces of the rows of a [rows, cols] map; for element-wise work.
template <typename F>
void for_pieces(Context& ctx, int64_t rows, int64_t cols, const F& f) {
  const int64_t pieces = (cols + kPiece - 1) / kPiece;
  for_rows(ctx, rows * pieces, std::min(cols, kPiece), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i % pieces * kPiece;
      f(i / pieces, first, std::min(kPiece, cols - first));
    }
  });
}

// The kernels for weights in codes of a type; Error{kInternal} if there are none.
const CodeKernels& code_kernels(const KernelTable& table, DType dtype);

// x as bf16 compute wants it in f32: rounded into scratch, or x itself under f32 compute.
View<const float, 2> rounded_input(Context& ctx, View<const float, 2> x);
// x in int8, as weights in codes want it; in scratch. The sums for minima and q6k's halves only if asked for.
enum class CodeSums { kOfBlocks, kForMinima };
CodeSums sums_for(DType dtype);  // of a weight
QuantizedRows quantize_rows(Context& ctx, View<const float, 2> x, CodeSums sums = CodeSums::kOfBlocks);
// half_starts and minima of one row of quantised blocks (table.h).
void sum_codes(const int8_t* codes, const float* scales, int64_t blocks, int32_t* half_starts, float* minima);
// out = x * weight^T for a weight in kBlocks, of any type, with f32 sums.
void multiply_blocks(Context& ctx, View<const float, 2> x, const WeightView& weight, View<float, 2> out);

}  // namespace g3n
