// q8: 32 values share a scale: value = scale * code, code in -128..127 (encoding uses -127..127), scale f16 of either
// sign. The values of GGUF's Q8_0.
#pragma once
#include <cmath>
#include <cstdint>

#include "core/dtype.h"

namespace g3n::quant {

inline constexpr float kRoundingMagic =
    12582912.0f;  // 1.5 * 2^23: adding and taking it off rounds to the nearest integer, ties to even

// As Q8_0 is made: the largest magnitude gets code 127. Values are finite; a scale that f16 cannot hold becomes
// infinite: the caller checks.
inline void encode_q8(const float (&x)[32], uint16_t& scale, int8_t (&codes)[32]) {
  float most = 0.0f;
  for (float v : x) most = std::fabs(v) > most ? std::fabs(v) : most;
  const float step = most / 127.0f, inverse = step > 0x1p-120f ? 1.0f / step : 0.0f;
  scale = f32_to_f16(step);
  for (int i = 0; i < 32; ++i)
    codes[i] = static_cast<int8_t>(static_cast<int>(x[i] * inverse + kRoundingMagic - kRoundingMagic));
}

// The values that q8 keeps of these; not a number where one is not finite or the scale is beyond f16.
inline void round_to_q8(float (&x)[32]) {
  float sum = 0.0f;
  for (float v : x) sum += v * 0.0f;
  uint16_t scale = 0x7e00;
  int8_t codes[32] = {};
  if (sum == 0.0f) encode_q8(x, scale, codes);
  const float step = (scale & 0x7c00u) == 0x7c00u ? NAN : f16_to_f32(scale);
  for (int i = 0; i < 32; ++i) x[i] = step * static_cast<float>(codes[i]);
}

}  // namespace g3n::quant
