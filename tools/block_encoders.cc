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

}  // namespace

bool can_encode(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16 || dtype == DType::kQ4_0 ||
         dtype == DType::kQ8_0 || dtype == DType::kQ6_K;
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
      case DType::kQ6_K: encode_q6_k(values, at); break;
      default: throw Error(ErrorCode::kInternal, std::string("no encoder of ") + dtype_name(dtype));
    }
  }
}

}  // namespace g3n
