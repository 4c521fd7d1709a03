// Blocks of GGUF whose codes are multiplied as they are (is_file_type of core/weight.h), taken apart and in the order
// of their inputs: for packing, and for the reference kernels.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/dtype.h"

namespace g3n::quant {

struct SuperBlock {          // or a block of 32
  uint16_t d = 0, dmin = 0;  // dmin of q4_1 and q5_1: the minimum, with its sign turned
  uint8_t scales[16] = {};   // q4k, q5k: 8; iq4xs: 8, signed; q6k: 16, signed
  uint8_t minima[8] = {};    // q4k, q5k
  uint8_t codes[256] = {};   // unsigned
};
void read_super_block(DType dtype, const std::byte* block, SuperBlock& out);

}  // namespace g3n::quant
