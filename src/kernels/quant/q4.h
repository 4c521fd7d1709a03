// q4: 32 values share a scale: value = scale * code, code in -8..7 (stored as code + 8), scale f16 of either sign. The
// values of GGUF's Q4_0.
#pragma once
#include <cmath>
#include <cstdint>

#include "core/dtype.h"
#include "kernels/quant/q8.h"

namespace g3n::quant {

// Squared error of 32 values rounded with this scale. Eight sums, so that the compiler makes vectors of them.
inline float q4_error(const float (&x)[32], float scale, float inverse) {
  float sums[8] = {};
  for (int i = 0; i < 32; i += 8)
    for (int l = 0; l < 8; ++l) {
      float code = x[i + l] * inverse + kRoundingMagic - kRoundingMagic;
      code = code > 7.0f ? 7.0f : code;
      code = code < -8.0f ? -8.0f : code;
      const float off = x[i + l] - scale * code;
      sums[l] += off * off;
    }
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

// The value of largest magnitude gets code -8 (as Q4_0 is made), or the scale is a little smaller or larger: whichever
// leaves the least squared error. Values are finite; a scale that f16 cannot hold becomes infinite: the caller checks.
inline void encode_q4(const float (&x)[32], uint16_t& scale, int8_t (&codes)[32]) {
  float most = 0.0f;
  for (float v : x) most = std::fabs(v) > std::fabs(most) ? v : most;
  float best = INFINITY, step = 0.0f;
  scale = f32_to_f16(most / -8.0f);
  for (const float divisor : {-8.0f, -7.0f, -7.5f, -8.5f, 7.0f, 7.5f}) {
    const uint16_t bits = f32_to_f16(most / divisor);
    const float candidate = f16_to_f32(bits),
                error = q4_error(x, candidate, candidate != 0.0f ? 1.0f / candidate : 0.0f);
    if (error < best) best = error, step = candidate, scale = bits;
  }
  const float inverse = step != 0.0f ? 1.0f / step : 0.0f;
  for (int i = 0; i < 32; ++i) {
    float code = x[i] * inverse + kRoundingMagic - kRoundingMagic;
    code = code > 7.0f ? 7.0f : code;
    code = code < -8.0f ? -8.0f : code;
    codes[i] = static_cast<int8_t>(static_cast<int>(code));
  }
}

}  // namespace g3n::quant
