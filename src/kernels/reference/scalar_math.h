// The functions of simd/math.inc for one value, operation by operation, so that every table gives the same bits.
// std::fma without -mfma is a call into libm: slow and exact everywhere.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/math_constants.h"

namespace g3n::reference {

inline uint32_t float_bits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return bits;
}
inline float bits_float(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

// Second operand when either is NaN, as on x86.
inline float max2(float a, float b) { return a > b ? a : b; }
inline float min2(float a, float b) { return a < b ? a : b; }

// exp(x + low) = (p + p_low) * 2^n; x in [-200, 89].
struct ExpParts {
  float p, p_low;
  int32_t n;
};
inline ExpParts exp_parts(float x, float low) {
  const float shifted = std::fma(x, kLog2E, kRoundMagic), n = shifted - kRoundMagic;
  const float r = std::fma(n, -kLn2Low, std::fma(n, -kLn2High, x)) + low;
  float q = kExp[0];
  for (int i = 1; i < 6; ++i) q = std::fma(q, r, kExp[i]);
  const float rest = std::fma(r * r, q, r), p = 1.0f + rest;
  return {p, (1.0f - p) + rest, static_cast<int32_t>(float_bits(shifted) - float_bits(kRoundMagic))};
}

inline float power_of_two(int32_t n) { return bits_float(static_cast<uint32_t>(n + 127) << 23); }

// Two exact-or-once-rounded steps, so that results below 2^-126 are right.
inline float scale_by_power(float p, int32_t n) {
  const int32_t half = n >> 1;
  return p * power_of_two(half) * power_of_two(n - half);
}

inline float exp1(float x) {
  const ExpParts e = exp_parts(min2(kExpMax, max2(kExpMin, x)), 0.0f);
  return scale_by_power(e.p, e.n);
}

// numerator * sigmoid(z + low), relative precision kept down to the smallest results: with e = exp(-|z|), sigmoid is 1
// / (1 + e) or e / (1 + e); one step of correction makes up for the roundings of numerator, denominator and quotient.
inline float times_sigmoid(float numerator, float z, float low) {
  const bool negative = z < 0.0f;
  const ExpParts e = exp_parts(max2(kSigmoidMin, negative ? z : -z), negative ? low : -low);
  const float factor = negative ? e.p : 1.0f, factor_low = negative ? e.p_low : 0.0f;
  const float top = numerator * factor, top_low = std::fma(numerator, factor_low, std::fma(numerator, factor, -top));
  const float power = scale_by_power(e.p, e.n), bottom = 1.0f + power;
  const float bottom_low = (1.0f - bottom) + power + scale_by_power(e.p_low, e.n);
  const float inverse = 1.0f / bottom, quotient = top * inverse;
  const float rest = std::fma(-quotient, bottom, top) + std::fma(-quotient, bottom_low, top_low);
  const float result = scale_by_power(std::fma(rest, inverse, quotient), negative ? e.n : 0);
  return z > kSigmoidOne ? numerator : result;
}

inline float silu1(float x) { return times_sigmoid(max2(kSiluMin, x), x, 0.0f); }
inline float sigmoid1(float x) { return times_sigmoid(1.0f, x, 0.0f); }

// 0.5 x (1 + tanh(u)) = x sigmoid(2u), 2u = x (c + d x^2) in two floats: exp would magnify its rounding.
inline float gelu1(float value) {
  const float x = max2(-kGeluLimit, value), a = min2(kGeluLimit, x);
  const float s = a * a, s_low = std::fma(a, a, -s);
  const float t = kGeluD * s, t_low = std::fma(kGeluD, s, -t) + std::fma(kGeluD, s_low, kGeluDLow * s);
  const float w = kGeluC + t, part = w - kGeluC;
  const float w_low = (kGeluC - (w - part)) + (t - part) + (t_low + kGeluCLow);
  const float z = a * w, z_low = std::fma(a, w_low, std::fma(a, w, -z));
  return times_sigmoid(x, z, z_low);
}

inline float tanh1(float x) {
  const float a = std::fabs(x), s = x * x;
  float q = kTanh[0];
  for (int i = 1; i < 6; ++i) q = std::fma(q, s, kTanh[i]);
  const float small = std::fma(x * s, q, x);
  const ExpParts e = exp_parts(min2(kTanhLimit, a + a), 0.0f);
  const float large = 1.0f - 2.0f / (scale_by_power(e.p, e.n) + 1.0f);
  return a < kTanhSmall ? small : x != x ? x : std::copysign(large, x);
}

}  // namespace g3n::reference
