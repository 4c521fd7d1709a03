// Rows of numbers to the bytes of a GGUF type: as llama-quantize writes them in layout, not in its choice of scales.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/dtype.h"

namespace g3n {

// Types that encode_values takes.
bool can_encode(DType dtype);

// n values, whole blocks of `dtype`, to dtype_bytes(dtype, n) bytes. The values are finite and small enough for an f16
// scale.
void encode_values(DType dtype, const float* values, int64_t n, std::byte* out);

}  // namespace g3n
