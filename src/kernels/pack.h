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
};

// Writes packed_bytes(view) bytes to `out` (64-byte aligned, any content) in view.dtype (f32, bf16, q8 or q4) and view.layout; padding is zero.
// f16 and f32 sources go to f32 unless they are bf16 values exactly: the caller chooses view.dtype, a lossy choice throws kInternal.
// To q8 and q4: values are quantised (quant/q8.h, q4.h); blocks of the same type move as they are. A value or scale that is not finite throws kBadFile
// naming row and block.
void pack_weight(ThreadPool& pool, const PackSource& source, const WeightView& view, std::byte* out);

// The value of output `row`, input `col`, from any layout: for tests and tools, slow.
float weight_value(const WeightView& view, int64_t row, int64_t col);

}  // namespace g3n
