// Reading fields of a block, and the loop over the blocks of a row. Block functions are: void f(const uint8_t* b,
// float* out), i the value's index.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core/dtype.h"

namespace g3n::quant {

inline uint16_t u16_at(const uint8_t* b) { return static_cast<uint16_t>(b[0] | b[1] << 8); }
inline uint32_t u32_at(const uint8_t* b) { return u16_at(b) | uint32_t{u16_at(b + 2)} << 16; }
inline float f16_at(const uint8_t* b) { return f16_to_f32(u16_at(b)); }
inline int nibble(int byte, int64_t high) { return byte >> 4 * high & 15; }

template <DType type, void (*block)(const uint8_t*, float*)>
void decode_blocks(const std::byte* blocks, int64_t n, float* out) {
  constexpr DTypeFacts kFacts = dtype_facts(type);
  const auto* b = reinterpret_cast<const uint8_t*>(blocks);
  for (int64_t i = 0; i < n; i += kFacts.block_values, b += kFacts.block_bytes) block(b, out + i);
}

}  // namespace g3n::quant
