// Packing: values of a file, row-major [rows, cols], into the memory of a WeightView.
#pragma once
#include <cstddef>

#include "core/context.h"
#include "core/weight.h"

namespace g3n {

// Where row-major values come from: f32, bf16, f16, or blocks of a GGUF type.
struct PackSource {
  DType dtype;
  const std::byte* data;  // [rows, cols]
  int64_t first_row = 0;  // of the tensor that these rows are a part of: for messages
};

// Writes packed_bytes(view) bytes to `out` (64-byte aligned, any content) in view.dtype (f32, bf16 or codes) and
// view.layout; padding is zero. f16 and f32 sources go to f32 unless they are bf16 values exactly: the caller chooses
// view.dtype, a lossy choice throws kInternal. To q8 and q4: values are quantised (quant/q8.h, q4.h); blocks of the
// same type move as they are. To types that come from files only (is_file_type; panels and neurons): from blocks of the
// same type only. A value or scale that is not finite throws kBadFile naming the first row and block.
void pack_weight(ThreadPool& pool, const PackSource& source, const WeightView& view, std::byte* out);

// Rows of a table (embeddings), row-major: to q8 (Q8_0 blocks, cols a multiple of 32), bf16 (rounded) or f32, or as
// they are.
void pack_table(ThreadPool& pool, const PackSource& source, int64_t rows, int64_t cols, DType dtype, std::byte* out);

// n values of any float or block type (n a multiple of its block).
void decode_values(DType dtype, const std::byte* data, int64_t n, float* out);

// Throws kBadFile, naming row and block, if a block of a GGUF type has a scale that is not
// finite; other types pass.
void expect_finite_scales(ThreadPool& pool, const PackSource& source, int64_t rows, int64_t cols);

// The value of output `row`, input `col`, from any layout: for tests and tools, slow.
float weight_value(const WeightView& view, int64_t row, int64_t col);

}  // namespace g3n
