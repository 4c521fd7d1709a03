#include "tools/block_encoders.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "g3n/error.h"
#include "kernels/quant/q4.h"
#include "kernels/quant/q8.h"

namespace g3n {
namespace {

// 32 values: scale f16, then the codes: two to a byte (Q4_0: values 0..15 in the low nibbles, 16..31 in the high ones),
// or one.
void encode_block32(DType dtype, const float* values, uint8_t* out) {
  float x[32];
  int8_t codes[32];
  uint16_t scale;
  std::copy(values, values + 32, x);
  dtype == DType::kQ4_0 ? quant::encode_q4(x, scale, codes) : quant::encode_q8(x, scale, codes);
  std::memcpy(out, &scale, 2);
  if (dtype == DType::kQ8_0)
    std::memcpy(out + 2, codes, 32);
  else
    for (int i = 0; i < 16; ++i) out[2 + i] = static_cast<uint8_t>((codes[i] + 8) | (codes[16 + i] + 8) << 4);
}

// 256 values: codes of six bits, a scale of eight bits for 16 of them, one f16 over all: value = d * scale * (code -
// 32).
void encode_q6_k(const float* x, uint8_t* out) {
  float scales[16], most = 0;
  for (int group = 0; group < 16; ++group) {
    float largest = 0;
    for (int i = 16 * group; i < 16 * group + 16; ++i)
      if (std::fabs(x[i]) > std::fabs(largest)) largest = x[i];
    scales[group] = largest / -32.0f;  // the largest gets code 0
    most = std::max(most, std::fabs(scales[group]));
  }
  const uint16_t d = f32_to_f16(most / 127.0f);
  const float unit = f16_to_f32(d);
  std::memset(out, 0, 210);
  std::memcpy(out + 208, &d, 2);
  for (int i = 0; i < 256; ++i) {
    const float factor = unit != 0 ? std::nearbyint(scales[i / 16] / unit) : 0.0f;
    out[192 + i / 16] = static_cast<uint8_t>(static_cast<int8_t>(std::clamp(factor, -127.0f, 127.0f)));
    const float scale = unit * factor;
    const int code = static_cast<int>(std::clamp(scale != 0 ? std::nearbyint(x[i] / scale) : 0.0f, -32.0f, 31.0f)) + 32;
    const int half = i / 128, quarter = i % 128 / 32, lane = i % 32;
    out[64 * half + 32 * (quarter % 2) + lane] |= static_cast<uint8_t>((code & 15) << 4 * (quarter / 2));
    out[128 + 32 * half + lane] |= static_cast<uint8_t>(code >> 4 << 2 * quarter);
  }
}

// 32 values: value = d * code + m, codes of four bits (Q4_1) or five (Q5_1), or of five about a zero at 16 (Q5_0,
// without m); fifth bits in a word of their own.
void encode_small_block(DType dtype, const float* x, uint8_t* out) {
  const bool about_zero = dtype == DType::kQ5_0, fifth_bits = dtype != DType::kQ4_1;
  const auto [least, most] = std::minmax_element(x, x + 32);
  const float most_code = fifth_bits ? 31.0f : 15.0f, largest = std::max(-*least, *most);
  const uint16_t d = f32_to_f16(about_zero ? largest / 15.0f : (*most - *least) / most_code), m = f32_to_f16(*least);
  const float scale = f16_to_f32(d), zero = about_zero ? -16.0f * scale : f16_to_f32(m);
  uint32_t fifth = 0;
  std::memset(out, 0, static_cast<size_t>(dtype_bytes(dtype)));
  uint8_t* nibbles = out + dtype_bytes(dtype) - 16;
  for (int i = 0; i < 32; ++i) {
    const float code = scale != 0 ? std::nearbyint((x[i] - zero) / scale) : 0.0f;
    const uint32_t bits = static_cast<uint32_t>(std::clamp(code, 0.0f, most_code));
    nibbles[i % 16] |= static_cast<uint8_t>((bits & 15) << (i < 16 ? 0 : 4));
    fifth |= bits >> 4 << i;
  }
  std::memcpy(out, &d, 2);
  if (!about_zero) std::memcpy(out + 2, &m, 2);
  if (fifth_bits) std::memcpy(nibbles - 4, &fifth, 4);
}

// 64 values: scale f16, codes of two bits: value = d * (code - 1). Nothing has kernels for it.
void encode_q2_0(const float* x, uint8_t* out) {
  float most = 0;
  for (int i = 0; i < 64; ++i) most = std::max(most, std::fabs(x[i]));
  const uint16_t d = f32_to_f16(most);
  std::memset(out, 0, 18);
  std::memcpy(out, &d, 2);
  for (int i = 0; i < 64; ++i) {
    const int code = most > 0 ? static_cast<int>(std::nearbyint(x[i] / most)) + 1 : 1;
    out[2 + i / 4] |= static_cast<uint8_t>(code << i % 4 * 2);
  }
}

// 256 values: codes of four (Q4_K) or five bits (Q5_K), a scale and a minimum of six bits for 32 of them, two f16 over
// all: value = d * scale * code - dmin * minimum. Bytes: d, dmin, 12 of scales, in Q5_K 32 of fifth bits, 128 of
// nibbles.
void encode_minimum_k(DType dtype, const float* x, uint8_t* out) {
  const bool fifth = dtype == DType::kQ5_K;
  const float most_code = fifth ? 31.0f : 15.0f;
  float scales[8], minima[8], most_scale = 0, most_minimum = 0;
  for (int j = 0; j < 8; ++j) {
    const auto [low, high] = std::minmax_element(x + 32 * j, x + 32 * j + 32);
    minima[j] = std::max(0.0f, -*low);
    scales[j] = std::max(0.0f, *high + minima[j]) / most_code;
    most_scale = std::max(most_scale, scales[j]), most_minimum = std::max(most_minimum, minima[j]);
  }
  const uint16_t d = f32_to_f16(most_scale / 63.0f), dmin = f32_to_f16(most_minimum / 63.0f);
  const float scale_unit = f16_to_f32(d), minimum_unit = f16_to_f32(dmin);
  const auto six_bits = [](float value, float unit) {
    return unit != 0 ? static_cast<int>(std::clamp(std::nearbyint(value / unit), 0.0f, 63.0f)) : 0;
  };
  std::memset(out, 0, static_cast<size_t>(dtype_bytes(dtype)));
  std::memcpy(out, &d, 2), std::memcpy(out + 2, &dmin, 2);
  uint8_t *s = out + 4, *fifths = out + 16, *nibbles = out + (fifth ? 48 : 16);
  for (int j = 0; j < 8; ++j) {
    const int scale = six_bits(scales[j], scale_unit), minimum = six_bits(minima[j], minimum_unit);
    if (j < 4) {
      s[j] |= static_cast<uint8_t>(scale), s[j + 4] |= static_cast<uint8_t>(minimum);
    } else {
      s[j + 4] = static_cast<uint8_t>((scale & 15) | (minimum & 15) << 4);
      s[j - 4] |= static_cast<uint8_t>(scale >> 4 << 6), s[j] |= static_cast<uint8_t>(minimum >> 4 << 6);
    }
    const float step = scale_unit * static_cast<float>(scale), offset = minimum_unit * static_cast<float>(minimum);
    for (int l = 0; l < 32; ++l) {
      const float nearest = step != 0 ? std::nearbyint((x[32 * j + l] + offset) / step) : 0.0f;
      const int code = static_cast<int>(std::clamp(nearest, 0.0f, most_code));
      nibbles[j / 2 * 32 + l] |= static_cast<uint8_t>((code & 15) << j % 2 * 4);
      if (fifth) fifths[l] |= static_cast<uint8_t>(code >> 4 << j);
    }
  }
}

}  // namespace

bool can_encode(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16 || dtype == DType::kQ4_0 ||
         dtype == DType::kQ8_0 || dtype == DType::kQ4_1 || dtype == DType::kQ5_0 || dtype == DType::kQ5_1 ||
         dtype == DType::kQ4_K || dtype == DType::kQ5_K || dtype == DType::kQ6_K || dtype == DType::kQ2_0;
}

void encode_values(DType dtype, const float* values, int64_t n, std::byte* out) {
  const DTypeFacts facts = dtype_facts(dtype);
  for (int64_t i = 0; i < n; i += facts.block_values, values += facts.block_values, out += facts.block_bytes) {
    uint8_t* const at = reinterpret_cast<uint8_t*>(out);
    const auto store = [at](auto value) { std::memcpy(at, &value, sizeof value); };
    switch (dtype) {
      case DType::kF32: store(*values); break;
      case DType::kF16: store(f32_to_f16(*values)); break;
      case DType::kBF16: store(f32_to_bf16(*values)); break;
      case DType::kQ4_0:
      case DType::kQ8_0: encode_block32(dtype, values, at); break;
      case DType::kQ4_1:
      case DType::kQ5_0:
      case DType::kQ5_1: encode_small_block(dtype, values, at); break;
      case DType::kQ4_K:
      case DType::kQ5_K: encode_minimum_k(dtype, values, at); break;
      case DType::kQ6_K: encode_q6_k(values, at); break;
      case DType::kQ2_0: encode_q2_0(values, at); break;
      default: throw Error(ErrorCode::kInternal, std::string("no encoder of ") + dtype_name(dtype));
    }
  }
}

}  // namespace g3n
