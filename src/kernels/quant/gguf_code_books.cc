#include "kernels/quant/gguf_code_books.h"

#include <bit>

#include "kernels/quant/gguf_bytes.h"
#include "kernels/quant/gguf_grids.h"

namespace g3n::quant {
namespace {

// ---- 16 levels that are not evenly spaced
// ------------------------------------------------------------------------------------------------

constexpr float kSpaced[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

void iq4_nl(const uint8_t* b, float* out) {
  const float d = f16_at(b);
  for (int i = 0; i < 32; ++i) out[i] = d * kSpaced[nibble(b[2 + i % 16], i / 16)];
}

void iq4_xs(const uint8_t* b, float* out) {
  const float d = f16_at(b);
  for (int j = 0; j < 8; ++j) {
    const float scale = d * static_cast<float>((nibble(b[4 + j / 2], j % 2) | (u16_at(b + 2) >> 2 * j & 3) << 4) - 32);
    for (int i = 0; i < 32; ++i) out[32 * j + i] = scale * kSpaced[nibble(b[8 + 16 * j + i % 16], i / 16)];
  }
}

// ---- magnitudes of 8 or 4 values from a book, signs apart
// ------------------------------------------------------------------------------

// Seven signs; the eighth makes the number of minuses even.
int eight_signs(uint32_t seven) {
  return static_cast<int>(seven | static_cast<uint32_t>(std::popcount(seven) & 1) << 7);
}

void signed_eight(const CodeBook& book, int index, int signs, float scale, float* out) {
  for (int k = 0; k < 8; ++k)
    out[k] = (signs >> k & 1 ? -scale : scale) * static_cast<float>(book.levels[book.entries[index] >> 2 * k & 3]);
}
void signed_four(const CodeBook& book, int index, int signs, float scale, float* out) {
  for (int k = 0; k < 4; ++k)
    out[k] = (signs >> k & 1 ? -scale : scale) * static_cast<float>(book.levels[book.entries[index] >> 3 * k & 7]);
}

void iq2_xxs(const uint8_t* b, float* out) {
  const float d = f16_at(b);
  for (int l = 0; l < 32; ++l) {
    const uint8_t* group = b + 2 + l / 4 * 8;
    const uint32_t word = u32_at(group + 4);
    const float scale = d * static_cast<float>(2 * (word >> 28) + 1) * 0.125f;
    signed_eight(kIq2Xxs, group[l % 4], eight_signs(word >> 7 * (l % 4) & 127), scale, out + 8 * l);
  }
}

void iq2_xs(const uint8_t* b, float* out) {
  const float d = f16_at(b);
  for (int l = 0; l < 32; ++l) {
    const uint32_t word = u16_at(b + 2 + 2 * l);
    const float scale = d * static_cast<float>(2 * nibble(b[66 + l / 4], l / 2 % 2) + 1) * 0.125f;
    signed_eight(kIq2Xs, static_cast<int>(word & 511), eight_signs(word >> 9), scale, out + 8 * l);
  }
}

void iq2_s(const uint8_t* b, float* out) {
  const float d = f16_at(b);
  for (int l = 0; l < 32; ++l) {
    const int index = b[2 + l] | (b[66 + l / 4] >> 2 * (l % 4) & 3) << 8;
    const float scale = d * static_cast<float>(2 * nibble(b[74 + l / 4], l / 2 % 2) + 1) * 0.125f;
    signed_eight(kIq2S, index, b[34 + l], scale, out + 8 * l);
  }
}

void iq3_xxs(const uint8_t* b, float* out) {
  const float d = f16_at(b);
  for (int l = 0; l < 64; ++l) {
    const uint32_t word = u32_at(b + 66 + l / 8 * 4);
    const float scale = d * static_cast<float>(2 * (word >> 28) + 1) * 0.25f;
    const int signs = eight_signs(word >> 7 * (l / 2 % 4) & 127);
    signed_four(kIq3Xxs, b[2 + l], signs >> 4 * (l % 2), scale, out + 4 * l);
  }
}

void iq3_s(const uint8_t* b, float* out) {
  const float d = f16_at(b);
  for (int l = 0; l < 64; ++l) {
    const int index = b[2 + l] | (b[66 + l / 8] >> l % 8 & 1) << 8;
    const float scale = d * static_cast<float>(2 * nibble(b[106 + l / 16], l / 8 % 2) + 1);
    signed_four(kIq3S, index, b[74 + l / 2] >> 4 * (l % 2), scale, out + 4 * l);
  }
}

// ---- -1, 0 and 1, all shifted by an eighth up or down
// ------------------------------------------------------------------------------------

void shifted_eight(int index, bool down, float scale, float* out) {
  const float shift = down ? -0.125f : 0.125f;
  for (int k = 0; k < 8; ++k)
    out[k] = scale * (static_cast<float>(kIq1.levels[kIq1.entries[index] >> 2 * k & 3]) + shift);
}

void iq1_s(const uint8_t* b, float* out) {
  const float d = f16_at(b);
  for (int l = 0; l < 32; ++l) {
    const int high = u16_at(b + 34 + l / 4 * 2);
    const int index = b[2 + l] | (high >> 3 * (l % 4) & 7) << 8;
    shifted_eight(index, high >> 15 != 0, d * static_cast<float>(2 * (high >> 12 & 7) + 1), out + 8 * l);
  }
}

void iq1_m(const uint8_t* b, float* out) {
  const uint8_t* scales = b + 48;
  int bits = 0;
  for (int n = 0; n < 4; ++n) bits |= u16_at(scales + 2 * n) >> 12 << 4 * n;
  const float d = f16_to_f32(static_cast<uint16_t>(bits));
  for (int l = 0; l < 32; ++l) {
    const int high = nibble(b[32 + l / 2], l % 2), j = l / 2;
    const int scale = u16_at(scales + 2 * (j / 4)) >> 3 * (j % 4) & 7;
    shifted_eight(b[l] | (high & 7) << 8, (high & 8) != 0, d * static_cast<float>(2 * scale + 1), out + 8 * l);
  }
}

}  // namespace

RowDecoder code_book_decoder(DType type) {
  switch (type) {
    case DType::kIQ4_NL: return decode_blocks<DType::kIQ4_NL, iq4_nl>;
    case DType::kIQ4_XS: return decode_blocks<DType::kIQ4_XS, iq4_xs>;
    case DType::kIQ2_XXS: return decode_blocks<DType::kIQ2_XXS, iq2_xxs>;
    case DType::kIQ2_XS: return decode_blocks<DType::kIQ2_XS, iq2_xs>;
    case DType::kIQ2_S: return decode_blocks<DType::kIQ2_S, iq2_s>;
    case DType::kIQ3_XXS: return decode_blocks<DType::kIQ3_XXS, iq3_xxs>;
    case DType::kIQ3_S: return decode_blocks<DType::kIQ3_S, iq3_s>;
    case DType::kIQ1_S: return decode_blocks<DType::kIQ1_S, iq1_s>;
    case DType::kIQ1_M: return decode_blocks<DType::kIQ1_M, iq1_m>;
    default: return nullptr;
  }
}

}  // namespace g3n::quant
