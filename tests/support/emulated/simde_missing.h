// AVX-512 and F16C intrinsics in plain loops: those that SIMDe 0.7.4 lacks or has wrong, masked loads that must not
// touch more than they are asked for, and fused operations, which it computes in two roundings.
#pragma once
#include <math.h>
#include <stdint.h>
#include <string.h>

namespace {
namespace emulated {

template <typename To, typename From>
inline To as(const From& from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  memcpy(&to, &from, sizeof(to));
  return to;
}
template <typename T, int N>
struct Lanes {
  T at[N];
};
using F16 = Lanes<float, 16>;
using F8 = Lanes<float, 8>;
using I16 = Lanes<int32_t, 16>;
using H32 = Lanes<uint16_t, 32>;
using H16 = Lanes<uint16_t, 16>;

inline float flush(float v) { return fabsf(v) < 0x1p-126f ? copysignf(0.0f, v) : v; }
inline float widen(uint16_t half) { return as<float>(static_cast<uint32_t>(half) << 16); }

inline simde__m512 fmadd(simde__m512 a, simde__m512 b, simde__m512 c) {
  const F16 x = as<F16>(a), y = as<F16>(b);
  F16 z = as<F16>(c);
  for (int i = 0; i < 16; ++i) z.at[i] = fmaf(x.at[i], y.at[i], z.at[i]);
  return as<simde__m512>(z);
}
inline simde__m256 fmadd256(simde__m256 a, simde__m256 b, simde__m256 c) {
  const F8 x = as<F8>(a), y = as<F8>(b);
  F8 z = as<F8>(c);
  for (int i = 0; i < 8; ++i) z.at[i] = fmaf(x.at[i], y.at[i], z.at[i]);
  return as<simde__m256>(z);
}
// max and min as x86 has them: the second operand if either is NaN.
inline simde__m512 max(simde__m512 a, simde__m512 b) {
  const F16 x = as<F16>(a);
  F16 y = as<F16>(b);
  for (int i = 0; i < 16; ++i) y.at[i] = x.at[i] > y.at[i] ? x.at[i] : y.at[i];
  return as<simde__m512>(y);
}
inline simde__m512 min(simde__m512 a, simde__m512 b) {
  const F16 x = as<F16>(a);
  F16 y = as<F16>(b);
  for (int i = 0; i < 16; ++i) y.at[i] = x.at[i] < y.at[i] ? x.at[i] : y.at[i];
  return as<simde__m512>(y);
}
inline simde__m512 dpbf16(simde__m512 sum, simde__m512bh a, simde__m512bh b) {
  F16 z = as<F16>(sum);
  const H32 x = as<H32>(a), y = as<H32>(b);
  for (int i = 0; i < 16; ++i)
    for (int k : {2 * i + 1, 2 * i}) z.at[i] = flush(fmaf(flush(widen(x.at[k])), flush(widen(y.at[k])), z.at[i]));
  return as<simde__m512>(z);
}
inline simde__m512 maskz_loadu_ps(uint16_t mask, const void* from) {
  F16 v = {};
  for (int i = 0; i < 16; ++i)
    if (mask >> i & 1) memcpy(&v.at[i], static_cast<const float*>(from) + i, 4);
  return as<simde__m512>(v);
}
// SIMDe's reads all eight.
inline simde__m256 maskload256(const float* from, simde__m256i mask) {
  const Lanes<int32_t, 8> m = as<Lanes<int32_t, 8>>(mask);
  F8 v = {};
  for (int i = 0; i < 8; ++i)
    if (m.at[i] < 0) memcpy(&v.at[i], from + i, 4);
  return as<simde__m256>(v);
}
inline void mask_storeu_ps(void* to, uint16_t mask, simde__m512 values) {
  const F16 v = as<F16>(values);
  for (int i = 0; i < 16; ++i)
    if (mask >> i & 1) memcpy(static_cast<float*>(to) + i, &v.at[i], 4);
}
inline simde__m256i maskz_loadu_epi16(uint16_t mask, const void* from) {
  H16 v = {};
  for (int i = 0; i < 16; ++i)
    if (mask >> i & 1) memcpy(&v.at[i], static_cast<const uint16_t*>(from) + i, 2);
  return as<simde__m256i>(v);
}
inline void mask_storeu_epi16(void* to, uint16_t mask, simde__m256i values) {
  const H16 v = as<H16>(values);
  for (int i = 0; i < 16; ++i)
    if (mask >> i & 1) memcpy(static_cast<uint16_t*>(to) + i, &v.at[i], 2);
}
inline simde__m512i cvtepu16_epi32(simde__m256i values) {
  const H16 v = as<H16>(values);
  I16 wide;
  for (int i = 0; i < 16; ++i) wide.at[i] = v.at[i];
  return as<simde__m512i>(wide);
}
inline simde__m512i cvtepi8_epi32(simde__m128i values) {
  int8_t codes[16];
  memcpy(codes, &values, 16);
  I16 wide;
  for (int i = 0; i < 16; ++i) wide.at[i] = codes[i];
  return as<simde__m512i>(wide);
}
inline simde__m512i cvtepu8_epi16(simde__m256i values) {
  const Lanes<uint8_t, 32> v = as<Lanes<uint8_t, 32>>(values);
  H32 wide;
  for (int i = 0; i < 32; ++i) wide.at[i] = v.at[i];
  return as<simde__m512i>(wide);
}
inline simde__m512i cvtepi16_epi32(simde__m256i values) {
  const H16 v = as<H16>(values);
  I16 wide;
  for (int i = 0; i < 16; ++i) wide.at[i] = static_cast<int16_t>(v.at[i]);
  return as<simde__m512i>(wide);
}
inline simde__m256i cvtepi32_epi16(simde__m512i values) {
  const I16 v = as<I16>(values);
  H16 narrow;
  for (int i = 0; i < 16; ++i) narrow.at[i] = static_cast<uint16_t>(v.at[i]);
  return as<simde__m256i>(narrow);
}
inline simde__m512i srai_epi32(simde__m512i values, int count) {
  I16 v = as<I16>(values);
  for (int i = 0; i < 16; ++i) v.at[i] >>= count;
  return as<simde__m512i>(v);
}

// f16 to f32, exact.
inline float from_half(uint16_t half) {
  const float sign = half & 0x8000 ? -1.0f : 1.0f;
  const int exponent = half >> 10 & 31, mantissa = half & 1023;
  if (exponent == 31) return mantissa ? NAN : sign * INFINITY;
  return sign * (exponent ? ldexpf(static_cast<float>(mantissa + 1024), exponent - 25)
                          : ldexpf(static_cast<float>(mantissa), -24));
}
inline simde__m256 cvtph256(simde__m128i values) {
  const Lanes<uint16_t, 8> v = as<Lanes<uint16_t, 8>>(values);
  F8 wide;
  for (int i = 0; i < 8; ++i) wide.at[i] = from_half(v.at[i]);
  return as<simde__m256>(wide);
}
inline simde__m512 cvtph512(simde__m256i values) {
  const H16 v = as<H16>(values);
  F16 wide;
  for (int i = 0; i < 16; ++i) wide.at[i] = from_half(v.at[i]);
  return as<simde__m512>(wide);
}
inline simde__m512i cvtps_epi32(simde__m512 values) {
  const F16 v = as<F16>(values);
  I16 out;
  for (int i = 0; i < 16; ++i) out.at[i] = static_cast<int32_t>(nearbyintf(v.at[i]));
  return as<simde__m512i>(out);
}
inline simde__m512 cvtepi32_ps(simde__m512i values) {
  const I16 v = as<I16>(values);
  F16 out;
  for (int i = 0; i < 16; ++i) out.at[i] = static_cast<float>(v.at[i]);
  return as<simde__m512>(out);
}
inline int32_t reduce_add_epi32(simde__m512i values) {
  const I16 v = as<I16>(values);
  int32_t sum = 0;
  for (int i = 0; i < 16; ++i) sum += v.at[i];
  return sum;
}
inline simde__m512i madd_epi16(simde__m512i a, simde__m512i b) {
  const Lanes<int16_t, 32> x = as<Lanes<int16_t, 32>>(a), y = as<Lanes<int16_t, 32>>(b);
  I16 out;
  for (int i = 0; i < 16; ++i) out.at[i] = x.at[2 * i] * y.at[2 * i] + x.at[2 * i + 1] * y.at[2 * i + 1];
  return as<simde__m512i>(out);
}
inline simde__m512i maddubs_epi16(simde__m512i a, simde__m512i b) {
  const Lanes<uint8_t, 64> x = as<Lanes<uint8_t, 64>>(a);
  const Lanes<int8_t, 64> y = as<Lanes<int8_t, 64>>(b);
  Lanes<int16_t, 32> out;
  for (int i = 0; i < 32; ++i) {
    const int sum = x.at[2 * i] * y.at[2 * i] + x.at[2 * i + 1] * y.at[2 * i + 1];
    out.at[i] = static_cast<int16_t>(sum > 32767 ? 32767 : sum < -32768 ? -32768 : sum);
  }
  return as<simde__m512i>(out);
}
inline simde__m512i dpbusd(simde__m512i sum, simde__m512i a, simde__m512i b) {
  I16 out = as<I16>(sum);
  const Lanes<uint8_t, 64> x = as<Lanes<uint8_t, 64>>(a);
  const Lanes<int8_t, 64> y = as<Lanes<int8_t, 64>>(b);
  for (int i = 0; i < 64; ++i) out.at[i / 4] += x.at[i] * y.at[i];
  return as<simde__m512i>(out);
}
inline simde__m256i dpbusd256(simde__m256i sum, simde__m256i a, simde__m256i b) {
  Lanes<int32_t, 8> out = as<Lanes<int32_t, 8>>(sum);
  const Lanes<uint8_t, 32> x = as<Lanes<uint8_t, 32>>(a);
  const Lanes<int8_t, 32> y = as<Lanes<int8_t, 32>>(b);
  for (int i = 0; i < 32; ++i) out.at[i / 4] += x.at[i] * y.at[i];
  return as<simde__m256i>(out);
}
inline simde__m128i cvtsepi32_epi8(simde__m512i values) {
  const I16 v = as<I16>(values);
  Lanes<int8_t, 16> out;
  for (int i = 0; i < 16; ++i) out.at[i] = static_cast<int8_t>(v.at[i] > 127 ? 127 : v.at[i] < -128 ? -128 : v.at[i]);
  return as<simde__m128i>(out);
}
inline simde__m512i srli_epi16(simde__m512i values, int count) {
  H32 v = as<H32>(values);
  for (int i = 0; i < 32; ++i) v.at[i] = static_cast<uint16_t>(v.at[i] >> count);
  return as<simde__m512i>(v);
}

}  // namespace emulated
}  // namespace

typedef simde__mmask16 __mmask16;
typedef simde__m512bh __m512bh;

#undef _mm512_fmadd_ps
#undef _mm256_fmadd_ps
#undef _mm512_max_ps
#undef _mm512_min_ps
#undef _mm512_dpbf16_ps
#undef _mm512_maskz_loadu_ps
#undef _mm512_mask_storeu_ps
#undef _mm256_maskz_loadu_epi16
#undef _mm256_mask_storeu_epi16
#undef _mm512_cvtepu16_epi32
#undef _mm512_cvtepi32_epi16
#undef _mm512_srai_epi32
#undef _mm256_maskload_ps
#undef _mm256_cvtph_ps
#undef _mm512_cvtph_ps
#undef _mm512_cvtps_epi32
#undef _mm512_cvtepi32_ps
#undef _mm512_reduce_add_epi32
#undef _mm512_madd_epi16
#undef _mm512_maddubs_epi16
#undef _mm512_dpbusd_epi32
#undef _mm512_cvtsepi32_epi8
#undef _mm512_srli_epi16
#define _mm256_maskload_ps(from, mask) emulated::maskload256(from, mask)
#define _mm512_fmadd_ps(a, b, c) emulated::fmadd(a, b, c)
#define _mm256_fmadd_ps(a, b, c) emulated::fmadd256(a, b, c)
#define _mm512_max_ps(a, b) emulated::max(a, b)
#define _mm512_min_ps(a, b) emulated::min(a, b)
#define _mm512_dpbf16_ps(sum, a, b) \
  emulated::dpbf16(sum, emulated::as<simde__m512bh>(a), emulated::as<simde__m512bh>(b))
#define _mm512_maskz_loadu_ps(mask, from) emulated::maskz_loadu_ps(mask, from)
#define _mm512_mask_storeu_ps(to, mask, v) emulated::mask_storeu_ps(to, mask, v)
#define _mm256_maskz_loadu_epi16(mask, from) emulated::maskz_loadu_epi16(mask, from)
#define _mm256_mask_storeu_epi16(to, mask, v) emulated::mask_storeu_epi16(to, mask, v)
#define _mm512_cvtepu16_epi32(v) emulated::cvtepu16_epi32(v)
#define _mm512_cvtepi8_epi32(v) emulated::cvtepi8_epi32(v)
#define _mm512_cvtepu8_epi16(v) emulated::cvtepu8_epi16(v)
#define _mm512_cvtepi16_epi32(v) emulated::cvtepi16_epi32(v)
#define _mm512_cvtepi32_epi16(v) emulated::cvtepi32_epi16(v)
#define _mm512_srai_epi32(v, count) emulated::srai_epi32(v, count)
#define _mm256_cvtph_ps(v) emulated::cvtph256(v)
#define _mm512_cvtph_ps(v) emulated::cvtph512(v)
#define _mm512_cvtps_epi32(v) emulated::cvtps_epi32(v)
#define _mm512_cvtepi32_ps(v) emulated::cvtepi32_ps(v)
#define _mm512_reduce_add_epi32(v) emulated::reduce_add_epi32(v)
#define _mm512_madd_epi16(a, b) emulated::madd_epi16(a, b)
#define _mm512_maddubs_epi16(a, b) emulated::maddubs_epi16(a, b)
#define _mm512_dpbusd_epi32(sum, a, b) emulated::dpbusd(sum, a, b)
#define _mm512_cvtsepi32_epi8(v) emulated::cvtsepi32_epi8(v)
#define _mm512_srli_epi16(v, count) emulated::srli_epi16(v, count)
#define _mm256_dpbusd_avx_epi32(sum, a, b) emulated::dpbusd256(sum, a, b)
