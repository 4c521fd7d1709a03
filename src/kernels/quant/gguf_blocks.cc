// Integer codes with scales; formats with code books are in gguf_code_books.cc. Loops run so that compilers can use
// vectors where files are common.
#include "kernels/quant/gguf_blocks.h"

#include <string>

#include "g3n/error.h"
#include "kernels/quant/gguf_bytes.h"
#include "kernels/quant/gguf_code_books.h"

namespace g3n::quant {
namespace {

// ---- 32 values and a scale, or a scale and a minimum
// -----------------------------------------------------------------------------------

void q4_0(const uint8_t* __restrict b, float* __restrict out) {
  const float d = f16_at(b);
  for (int i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>((b[2 + i] & 15) - 8);
    out[16 + i] = d * static_cast<float>((b[2 + i] >> 4) - 8);
  }
}

void q4_1(const uint8_t* __restrict b, float* __restrict out) {
  const float d = f16_at(b), m = f16_at(b + 2);
  for (int i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>(b[4 + i] & 15) + m;
    out[16 + i] = d * static_cast<float>(b[4 + i] >> 4) + m;
  }
}

// The fifth bit of code i is bit i of a word.
int five_bits(const uint8_t* nibbles, uint32_t fifth, int i) {
  return nibble(nibbles[i % 16], i / 16) | static_cast<int>(fifth >> i & 1) << 4;
}

void q5_0(const uint8_t* b, float* out) {
  const float d = f16_at(b);
  const uint32_t fifth = u32_at(b + 2);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(five_bits(b + 6, fifth, i) - 16);
}

void q5_1(const uint8_t* b, float* out) {
  const float d = f16_at(b), m = f16_at(b + 2);
  const uint32_t fifth = u32_at(b + 4);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(five_bits(b + 8, fifth, i)) + m;
}

void q8_0(const uint8_t* __restrict b, float* __restrict out) {
  const float d = f16_at(b);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(static_cast<int8_t>(b[2 + i]));
}

// ---- 256 values: scales of 16 or 32 of them are codes themselves
// ---------------------------------------------------------------------

// Two bits of value i of 256: 32 bytes hold the values i, i + 32, i + 64 and i + 96.
int two_bits(const uint8_t* codes, int i) { return codes[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3; }

void q2_k(const uint8_t* __restrict b, float* __restrict out) {
  const float d = f16_at(b + 80), least = f16_at(b + 82);
  for (int j = 0; j < 16; ++j) {
    const float scale = d * static_cast<float>(b[j] & 15), minimum = least * static_cast<float>(b[j] >> 4);
    const uint8_t* codes = b + 16 + j / 8 * 32 + j % 2 * 16;
    const int shift = j % 8 / 2 * 2;
    for (int i = 0; i < 16; ++i) out[16 * j + i] = scale * static_cast<float>(codes[i] >> shift & 3) - minimum;
  }
}

void q3_k(const uint8_t* b, float* out) {
  const float d = f16_at(b + 108);
  const uint8_t* s = b + 96;
  for (int j = 0; j < 16; ++j) {
    const float scale = d * static_cast<float>((nibble(s[j % 8], j / 8) | (s[8 + j % 4] >> 2 * (j / 4) & 3) << 4) - 32);
    for (int i = 16 * j; i < 16 * j + 16; ++i)
      out[i] = scale * static_cast<float>(two_bits(b + 32, i) + 4 * (b[i % 32] >> i / 32 & 1) - 4);
  }
}

struct ScaleAndMinimum {
  int scale, minimum;
};
// Of sub-block j of Q4_K and Q5_K, out of 12 bytes of six-bit numbers.
ScaleAndMinimum six_bits(const uint8_t* s, int j) {
  if (j < 4) return {s[j] & 63, s[j + 4] & 63};
  return {(s[j + 4] & 15) | (s[j - 4] >> 6) << 4, (s[j + 4] >> 4) | (s[j] >> 6) << 4};
}

void q4_k(const uint8_t* __restrict b, float* __restrict out) {
  const float d = f16_at(b), least = f16_at(b + 2);
  for (int j = 0; j < 8; ++j) {
    const ScaleAndMinimum s = six_bits(b + 4, j);
    const float scale = d * static_cast<float>(s.scale), minimum = least * static_cast<float>(s.minimum);
    const uint8_t* codes = b + 16 + 32 * (j / 2);
    const int shift = 4 * (j % 2);
    for (int i = 0; i < 32; ++i) out[32 * j + i] = scale * static_cast<float>(codes[i] >> shift & 15) - minimum;
  }
}

void q5_k(const uint8_t* __restrict b, float* __restrict out) {
  const float d = f16_at(b), least = f16_at(b + 2);
  for (int j = 0; j < 8; ++j) {
    const ScaleAndMinimum s = six_bits(b + 4, j);
    const float scale = d * static_cast<float>(s.scale), minimum = least * static_cast<float>(s.minimum);
    const uint8_t *fifth = b + 16, *codes = b + 48 + 32 * (j / 2);
    const int shift = 4 * (j % 2);
    for (int i = 0; i < 32; ++i)
      out[32 * j + i] = scale * static_cast<float>((codes[i] >> shift & 15) | (fifth[i] >> j & 1) << 4) - minimum;
  }
}

void q6_k(const uint8_t* __restrict b, float* __restrict out) {
  const float d = f16_at(b + 208);
  for (int j = 0; j < 16; ++j) {  // 16 values share a scale
    const float scale = d * static_cast<float>(static_cast<int8_t>(b[192 + j]));
    const int n = j / 8, k = j % 8 / 2, l = j % 2 * 16;
    const uint8_t *low = b + 64 * n + 32 * (k % 2) + l, *high = b + 128 + 32 * n + l;
    for (int i = 0; i < 16; ++i)
      out[16 * j + i] = scale * static_cast<float>(((low[i] >> 4 * (k / 2) & 15) | (high[i] >> 2 * k & 3) << 4) - 32);
  }
}

void q8_k(const uint8_t* b, float* out) {
  float d;
  std::memcpy(&d, b, 4);
  for (int i = 0; i < 256; ++i) out[i] = d * static_cast<float>(static_cast<int8_t>(b[4 + i]));
}

// ---- one and two bits, and three states
// ------------------------------------------------------------------------------------------------

void q1_0(const uint8_t* b, float* out) {
  const float d = f16_at(b);
  for (int i = 0; i < 128; ++i) out[i] = d * static_cast<float>(2 * (b[2 + i / 8] >> i % 8 & 1) - 1);
}

void q2_0(const uint8_t* b, float* out) {
  const float d = f16_at(b);
  for (int i = 0; i < 64; ++i) out[i] = d * static_cast<float>((b[2 + i / 4] >> 2 * (i % 4) & 3) - 1);
}

// Five base-3 digits as a fraction of 256: the digit after n more multiplications by 3.
int trit(int byte, int n) {
  constexpr int kPowers[5] = {1, 3, 9, 27, 81};
  return (byte * kPowers[n] % 256 * 3) >> 8;
}

void tq1_0(const uint8_t* b, float* out) {
  const float d = f16_at(b + 52);
  const auto value = [&](int byte, int n) { return d * static_cast<float>(trit(b[byte], n) - 1); };
  for (int i = 0; i < 160; ++i) out[i] = value(i % 32, i / 32);
  for (int i = 0; i < 80; ++i) out[160 + i] = value(32 + i % 16, i / 16);
  for (int i = 0; i < 16; ++i) out[240 + i] = value(48 + i % 4, i / 4);
}

void tq2_0(const uint8_t* __restrict b, float* __restrict out) {
  const float d = f16_at(b + 64);
  for (int i = 0; i < 256; ++i) out[i] = d * static_cast<float>(two_bits(b, i) - 1);
}

// ---- four-bit floats
// -------------------------------------------------------------------------------------------------------------------

// Twice the values of an E2M1 float; as the decoders of GGUF have it, minus zero is zero.
constexpr float kFp4[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

void mxfp4(const uint8_t* b, float* out) {
  const uint32_t bits = b[0] < 2 ? 0x200000u << b[0] : (b[0] - 1u) << 23;  // 2^(e - 128)
  float scale;
  std::memcpy(&scale, &bits, 4);
  for (int i = 0; i < 32; ++i) out[i] = scale * kFp4[nibble(b[1 + i % 16], i / 16)];
}

// An E4M3 float without a sign; 0x7f, its NaN, stands for 0.
float ue4m3(int byte) {
  const int exponent = byte >> 3 & 15, mantissa = byte & 7;
  if (byte == 0x7f) return 0.0f;
  if (exponent == 0) return static_cast<float>(mantissa) * 0x1p-9f;
  return static_cast<float>((8 + mantissa) << exponent) * 0x1p-10f;
}

void nvfp4(const uint8_t* b, float* out) {
  for (int j = 0; j < 4; ++j) {
    const float scale = ue4m3(b[j]) * 0.5f;
    for (int i = 0; i < 16; ++i) out[16 * j + i] = scale * kFp4[nibble(b[4 + 8 * j + i % 8], i / 8)];
  }
}

// ---- plain types
// -------------------------------------------------------------------------------------------------------------------------

void f32_row(const std::byte* values, int64_t n, float* out) { std::memcpy(out, values, static_cast<size_t>(n) * 4); }
void bf16_row(const std::byte* values, int64_t n, float* out) {
  const auto* b = reinterpret_cast<const uint8_t*>(values);
  for (int64_t i = 0; i < n; ++i) out[i] = bf16_to_f32(u16_at(b + 2 * i));
}
void f16_row(const std::byte* values, int64_t n, float* out) {
  const auto* b = reinterpret_cast<const uint8_t*>(values);
  for (int64_t i = 0; i < n; ++i) {  // f16_to_f32 without branches, in vectors
    uint16_t half;
    std::memcpy(&half, b + 2 * i, 2);
    const uint32_t shifted = (half & 0x7fffu) << 13;
    float magnitude;
    std::memcpy(&magnitude, &shifted, 4);
    magnitude *= 0x1p112f;  // the exponent's bias; denormals come right by it
    uint32_t bits;
    std::memcpy(&bits, &magnitude, 4);
    const uint32_t all = (half & 0x7c00u) == 0x7c00u ? 0x7f800000u : 0u;  // infinity, or not a number
    bits |= all | (half & 0x8000u) << 16;
    std::memcpy(out + i, &bits, 4);
  }
}

// ---- scales
// --------------------------------------------------------------------------------------------------------------------------------

bool is_finite_f16(const uint8_t* b) { return (b[1] & 0x7c) != 0x7c; }

// Where the f16 scales of a block stand; -1: no second one. Q8_K, MXFP4 and IQ1_M have scales of other kinds, those of
// NVFP4 are always finite.
struct ScalePlaces {
  int first = -1, second = -1;
};
ScalePlaces scale_places(DType type) {
  switch (type) {
    case DType::kQ4_1:
    case DType::kQ5_1:
    case DType::kQ4_K:
    case DType::kQ5_K: return {0, 2};
    case DType::kQ2_K: return {80, 82};
    case DType::kQ3_K: return {108};
    case DType::kQ6_K: return {208};
    case DType::kTQ1_0: return {52};
    case DType::kTQ2_0: return {64};
    case DType::kQ8_K:
    case DType::kMXFP4:
    case DType::kNVFP4:
    case DType::kIQ1_M: return {};
    default: return {0};
  }
}

bool has_finite_scales(DType type, ScalePlaces places, const uint8_t* b) {
  if (places.first >= 0)
    return is_finite_f16(b + places.first) && (places.second < 0 || is_finite_f16(b + places.second));
  if (type == DType::kMXFP4) return b[0] != 0xff;
  if (type == DType::kQ8_K) return (b[3] & 0x7f) != 0x7f || (b[2] & 0x80) == 0;
  if (type == DType::kIQ1_M) return (b[55] & 0x70) != 0x70 || (b[53] & 0xc0) != 0xc0;
  return true;
}

}  // namespace

int64_t first_bad_block(DType type, const std::byte* blocks, int64_t n) {
  if (!is_block_type(type)) return -1;
  const DTypeFacts facts = dtype_facts(type);
  const ScalePlaces places = scale_places(type);
  const auto* b = reinterpret_cast<const uint8_t*>(blocks);
  for (int64_t i = 0; i < n / facts.block_values; ++i, b += facts.block_bytes)
    if (!has_finite_scales(type, places, b)) return i;
  return -1;
}

RowDecoder row_decoder(DType type) {
  switch (type) {
    case DType::kF32: return f32_row;
    case DType::kBF16: return bf16_row;
    case DType::kF16: return f16_row;
    case DType::kQ8_0: return decode_blocks<DType::kQ8_0, q8_0>;
    case DType::kQ4_0: return decode_blocks<DType::kQ4_0, q4_0>;
    case DType::kQ4_1: return decode_blocks<DType::kQ4_1, q4_1>;
    case DType::kQ5_0: return decode_blocks<DType::kQ5_0, q5_0>;
    case DType::kQ5_1: return decode_blocks<DType::kQ5_1, q5_1>;
    case DType::kQ2_K: return decode_blocks<DType::kQ2_K, q2_k>;
    case DType::kQ3_K: return decode_blocks<DType::kQ3_K, q3_k>;
    case DType::kQ4_K: return decode_blocks<DType::kQ4_K, q4_k>;
    case DType::kQ5_K: return decode_blocks<DType::kQ5_K, q5_k>;
    case DType::kQ6_K: return decode_blocks<DType::kQ6_K, q6_k>;
    case DType::kQ8_K: return decode_blocks<DType::kQ8_K, q8_k>;
    case DType::kTQ1_0: return decode_blocks<DType::kTQ1_0, tq1_0>;
    case DType::kTQ2_0: return decode_blocks<DType::kTQ2_0, tq2_0>;
    case DType::kMXFP4: return decode_blocks<DType::kMXFP4, mxfp4>;
    case DType::kNVFP4: return decode_blocks<DType::kNVFP4, nvfp4>;
    case DType::kQ1_0: return decode_blocks<DType::kQ1_0, q1_0>;
    case DType::kQ2_0: return decode_blocks<DType::kQ2_0, q2_0>;
    default: break;
  }
  if (const RowDecoder decoder = code_book_decoder(type)) return decoder;
  throw Error(ErrorCode::kInternal,
              std::string("decode_row: expected f32, bf16, f16 or a block type, found ") + dtype_name(type));
}

}  // namespace g3n::quant
