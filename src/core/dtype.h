// Types of stored tensors, as values, and the conversions between bf16, f16 and f32.
#pragma once
#include <cstdint>
#include <cstring>

namespace g3n {

// Plain types, one value an element; then block types: 32 to 256 values share scales (docs/formats.md; spec of GGUF).
// Of these, q8 (kQ8_0), q4 (kQ4_0), q4_1, q5_0, q5_1, q4k, q5k, q6k (kQ4_K and so on), iq4nl and iq4xs have kernels of
// their own; what stands in a WeightView's `layout` says how their values are arranged. The others are decoded
// (quant/gguf_blocks.h).
enum class DType : uint8_t {
  kF32,
  kBF16,
  kF16,
  kI8,
  kU8,
  kI32,
  kI64,
  kF64,
  kBool,
  kQ8_0,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kQ8_K,
  kIQ4_NL,
  kIQ4_XS,
  kIQ2_XXS,
  kIQ2_XS,
  kIQ2_S,
  kIQ3_XXS,
  kIQ3_S,
  kIQ1_S,
  kIQ1_M,
  kTQ1_0,
  kTQ2_0,
  kMXFP4,
  kNVFP4,
  kQ1_0,
  kQ2_0,
};
inline constexpr int kDTypes = 35;

struct DTypeFacts {
  const char* name;      // "F32", "BF16": as safetensors; "Q4_0": as GGUF
  int64_t block_values;  // 1: a plain type
  int64_t block_bytes;
};
constexpr DTypeFacts dtype_facts(DType type) {
  constexpr DTypeFacts kFacts[kDTypes] = {
      {"F32", 1, 4},        {"BF16", 1, 2},       {"F16", 1, 2},        {"I8", 1, 1},        {"U8", 1, 1},
      {"I32", 1, 4},        {"I64", 1, 8},        {"F64", 1, 8},        {"BOOL", 1, 1},      {"Q8_0", 32, 34},
      {"Q4_0", 32, 18},     {"Q4_1", 32, 20},     {"Q5_0", 32, 22},     {"Q5_1", 32, 24},    {"Q2_K", 256, 84},
      {"Q3_K", 256, 110},   {"Q4_K", 256, 144},   {"Q5_K", 256, 176},   {"Q6_K", 256, 210},  {"Q8_K", 256, 292},
      {"IQ4_NL", 32, 18},   {"IQ4_XS", 256, 136}, {"IQ2_XXS", 256, 66}, {"IQ2_XS", 256, 74}, {"IQ2_S", 256, 82},
      {"IQ3_XXS", 256, 98}, {"IQ3_S", 256, 110},  {"IQ1_S", 256, 50},   {"IQ1_M", 256, 56},  {"TQ1_0", 256, 54},
      {"TQ2_0", 256, 66},   {"MXFP4", 32, 17},    {"NVFP4", 64, 36},    {"Q1_0", 128, 18},   {"Q2_0", 64, 18}};
  return kFacts[static_cast<int>(type)];
}
constexpr const char* dtype_name(DType type) { return dtype_facts(type).name; }
constexpr bool is_block_type(DType type) { return dtype_facts(type).block_values > 1; }
// Bytes of one element of a plain type (of a block for the others).
constexpr int64_t dtype_bytes(DType type) { return dtype_facts(type).block_bytes; }
// Bytes of n values, n a multiple of the block's.
constexpr int64_t dtype_bytes(DType type, int64_t n) {
  return n / dtype_facts(type).block_values * dtype_facts(type).block_bytes;
}

using bf16_t = uint16_t;  // the upper half of an f32

inline float bf16_to_f32(bf16_t bits) {
  const uint32_t wide = uint32_t{bits} << 16;
  float value;
  std::memcpy(&value, &wide, 4);
  return value;
}

// Round to nearest even; a NaN stays a NaN.
inline bf16_t f32_to_bf16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<bf16_t>((bits >> 16) | 0x40u);
  return static_cast<bf16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

// Round to nearest even; overflow becomes infinity, small values denormals.
inline uint16_t f32_to_f16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  const uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000u);
  bits &= 0x7fffffffu;
  if (bits > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u);
  if (bits >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);  // 65520 and above
  if (bits < 0x38800000u) {                                               // below 2^-14: a multiple of 2^-24
    float magnitude;
    std::memcpy(&magnitude, &bits, 4);
    const float shifted = magnitude + 0.5f;  // one ulp of [0.5, 1) is 2^-24: the addition rounds
    uint32_t rounded;
    std::memcpy(&rounded, &shifted, 4);
    return static_cast<uint16_t>(sign | (rounded - 0x3f000000u));
  }
  return static_cast<uint16_t>(sign | ((bits + 0xfffu + (bits >> 13 & 1u) - 0x38000000u) >> 13));
}

inline float f16_to_f32(uint16_t half) {
  const uint32_t sign = uint32_t{half & 0x8000u} << 16;
  const uint32_t exponent = (half >> 10) & 0x1f, mantissa = half & 0x3ff;
  uint32_t bits;
  if (exponent == 0x1f) {
    bits = sign | 0x7f800000u | (mantissa << 13);
  } else if (exponent != 0) {
    bits = sign | ((exponent + 112) << 23) | (mantissa << 13);
  } else {  // subnormal: exact in f32
    const float value = static_cast<float>(mantissa) * 0x1p-24f;
    std::memcpy(&bits, &value, 4);
    bits |= sign;
  }
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

}  // namespace g3n
