// q8: 32 values share a scale: value = scale * code, code in -128..127 (encoding uses -127..127), scale f16 of either sign. The values of GGUF's Q8_0.
#pragma once
#include <cmath>
#include <cstdint>

#include "core/dtype.h"

namespace g3n::quant {

struct Q8Block {
  uint16_t scale;   // f16
  int8_t codes[32];
};

// As Q8_0 is made: the largest magnitude gets code 127. A block whose scale would not be finite in f16 keeps an infinite scale: the caller checks.
inline Q8Block encode_q8(const float* x) {
  float most = 0.0f;
  for (int i = 0; i < 32; ++i) most = std::fmax(most, std::fabs(x[i]));  // callers check that values are finite
  Q8Block b;
  const float scale = most / 127.0f, inverse = scale != 0.0f ? 1.0f / scale : 0.0f;
  b.scale = f32_to_f16(scale);
  for (int i = 0; i < 32; ++i) b.codes[i] = static_cast<int8_t>(std::nearbyint(x[i] * inverse));
  return b;
}

}  // namespace g3n::quant
