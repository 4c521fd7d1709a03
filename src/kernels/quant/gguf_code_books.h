// The IQ formats, whose codes are looked up.
#pragma once
#include "kernels/quant/gguf_blocks.h"

namespace g3n::quant {

RowDecoder code_book_decoder(DType type);  // null: none of them

}  // namespace g3n::quant
