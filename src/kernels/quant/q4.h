// q4: 32 values share a scale: value = scale * (code - 8), code in 0..15, scale f16 of either sign. The values of GGUF's Q4_0.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "core/dtype.h"

namespace g3n::quant {

struct Q4Block {
  uint16_t scale;     // f16
  uint8_t codes[32];  // 0..15
};

// Codes for a scale, and the squared error that remains.
inline double fit_q4(const float* x, Q4Block& b) {
  const float scale = f16_to_f32(b.scale), inverse = scale != 0.0f ? 1.0f / scale : 0.0f;
  double error = 0;
  for (int i = 0; i < 32; ++i) {
    b.codes[i] = static_cast<uint8_t>(std::clamp(std::nearbyint(x[i] * inverse) + 8.0f, 0.0f, 15.0f));
    const float off = x[i] - scale * static_cast<float>(b.codes[i] - 8);
    error += static_cast<double>(off) * off;
  }
  return error;
}

// The value of largest magnitude gets code 0 (as Q4_0 is made), or the scale is a little smaller or larger: whichever leaves the least squared error.
inline Q4Block encode_q4(const float* x) {
  float most = 0.0f;
  for (int i = 0; i < 32; ++i)
    if (std::fabs(x[i]) > std::fabs(most)) most = x[i];
  Q4Block best;
  double least = INFINITY;
  for (const float divisor : {-8.0f, -7.0f, -7.5f, -8.5f, 7.0f, 7.5f}) {
    Q4Block b;
    b.scale = f32_to_f16(most / divisor);
    const double error = fit_q4(x, b);
    if (error < least) least = error, best = b;
  }
  return best;
}

}  // namespace g3n::quant
