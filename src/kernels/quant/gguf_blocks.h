// Values of GGUF's block formats, exactly as its own decoders give them (spec of GGUF, section 7). The code for any
// format, also those without a kernel.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/dtype.h"

namespace g3n::quant {

// Writes n values, n a multiple of the block's; `blocks` need not be aligned.
using RowDecoder = void (*)(const std::byte* blocks, int64_t n, float* out);
// Of f32, bf16, f16 and every block type; for others Error{kInternal}.
RowDecoder row_decoder(DType type);
inline void decode_row(DType type, const std::byte* blocks, int64_t n, float* out) {
  row_decoder(type)(blocks, n, out);
}
// The first block whose scale or minimum is infinite or not a number, as no writer leaves them; -1 if there is none,
// and for plain types.
int64_t first_bad_block(DType type, const std::byte* blocks, int64_t n);

}  // namespace g3n::quant
