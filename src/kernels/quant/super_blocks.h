// Blocks of GGUF whose codes are multiplied as they are (Q4_K, Q5_K, Q6_K, IQ4_XS), taken apart and in the order of
// their inputs: for packing, and for the reference kernels.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/dtype.h"

namespace g3n::quant {

struct SuperBlock {
  uint16_t d = 0, dmin = 0;
  uint8_t scales[16] = {};  // q4k, q5k: 8; iq4xs: 8, signed; q6k: 16, signed
  uint8_t minima[8] = {};   // q4k, q5k
  uint8_t codes[256] = {};  // unsigned
};
void read_super_block(DType dtype, const std::byte* block, SuperBlock& out);

}  // namespace g3n::quant
