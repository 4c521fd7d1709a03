#include "kernels/quant/super_blocks.h"

#include <cstring>

namespace g3n::quant {
namespace {

// Six bits each: s[0..3] hold scales 0-3, s[4..7] minima 0-3, s[8..11] the low nibbles of 4-7, whose upper bits lie on
// top of the others.
void read_scales(const uint8_t* s, SuperBlock& out) {
  for (int j = 0; j < 4; ++j) {
    out.scales[j] = s[j] & 63;
    out.minima[j] = s[j + 4] & 63;
    out.scales[j + 4] = static_cast<uint8_t>((s[j + 8] & 15) | s[j] >> 6 << 4);
    out.minima[j + 4] = static_cast<uint8_t>(s[j + 8] >> 4 | s[j + 4] >> 6 << 4);
  }
}

// Blocks of 32: f16 scale, f16 minimum or none, fifth bits or none, nibbles.
void read_small_block(DType dtype, const uint8_t* b, SuperBlock& out) {
  const bool minimum = dtype == DType::kQ4_1 || dtype == DType::kQ5_1,
             fifth = dtype == DType::kQ5_0 || dtype == DType::kQ5_1;
  std::memcpy(&out.d, b, 2);
  b += 2;
  if (minimum) {
    std::memcpy(&out.dmin, b, 2);
    out.dmin ^= 0x8000;
    b += 2;
  }
  uint32_t bits = 0;
  if (fifth) {
    std::memcpy(&bits, b, 4);
    b += 4;
  }
  for (int i = 0; i < 32; ++i)
    out.codes[i] = static_cast<uint8_t>((b[i % 16] >> (i / 16 * 4) & 15) | (bits >> i & 1) << 4);
}

}  // namespace

void read_super_block(DType dtype, const std::byte* block, SuperBlock& out) {
  uint8_t b[210];
  std::memcpy(b, block, static_cast<size_t>(dtype_bytes(dtype)));
  if (dtype_facts(dtype).block_values == 32) return read_small_block(dtype, b, out);
  if (dtype == DType::kQ6_K) {
    std::memcpy(&out.d, b + 208, 2);
    std::memcpy(out.scales, b + 192, 16);
    for (int n = 0; n < 2; ++n)
      for (int k = 0; k < 4; ++k)
        for (int l = 0; l < 32; ++l)
          out.codes[128 * n + 32 * k + l] = static_cast<uint8_t>((b[64 * n + 32 * (k % 2) + l] >> (k / 2 * 4) & 15) |
                                                                 (b[128 + 32 * n + l] >> (2 * k) & 3) << 4);
    return;
  }
  std::memcpy(&out.d, b, 2);
  if (dtype == DType::kIQ4_XS) {
    const int high = b[2] | b[3] << 8;
    for (int j = 0; j < 8; ++j) {
      out.scales[j] = static_cast<uint8_t>(((b[4 + j / 2] >> (j % 2 * 4) & 15) | (high >> (2 * j) & 3) << 4) - 32);
      for (int l = 0; l < 32; ++l)
        out.codes[32 * j + l] = static_cast<uint8_t>(b[8 + 16 * j + l % 16] >> (l / 16 * 4) & 15);
    }
    return;
  }
  std::memcpy(&out.dmin, b + 2, 2);
  read_scales(b + 4, out);
  const bool fifth = dtype == DType::kQ5_K;
  const uint8_t* nibbles = b + (fifth ? 48 : 16);
  for (int j = 0; j < 8; ++j)
    for (int l = 0; l < 32; ++l) {
      const int low = nibbles[j / 2 * 32 + l] >> (j % 2 * 4) & 15, high = fifth ? b[16 + l] >> j & 1 : 0;
      out.codes[32 * j + l] = static_cast<uint8_t>(low | high << 4);
    }
}

}  // namespace g3n::quant
