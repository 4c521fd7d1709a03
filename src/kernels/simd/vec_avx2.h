// Vec: 16 floats as two AVX registers. The same interface as vec_avx512.h and vec_neon.h; bodies in simd/*.inc know no
// other. C-only (design.md 3.12): no std:: names, everything in an anonymous namespace.
#pragma once
#include <immintrin.h>
#include <stdint.h>

namespace g3n {
namespace {

constexpr int kTileRows = 6, kTilePanels = 1;  // 12 of 16 registers hold sums

struct Vec {
  __m256 low, high;
};
struct Mask {
  __m256 low, high;
};
struct Full {};  // all 16 lanes
struct Part {    // the first n lanes, 0 < n < 16; the others are read as +0 and not stored
  int64_t n;
};

alignas(64) constexpr int32_t kPartMask[32] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
inline __m256i part_mask(int64_t n, int half) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kPartMask + 16 - n + half * 8));
}

inline Vec zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
inline Vec splat(float v) {
  const __m256 s = _mm256_set1_ps(v);
  return {s, s};
}
inline Vec load(const float* p, Full = {}) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline Vec load(const float* p, Part n) {
  return {_mm256_maskload_ps(p, part_mask(n.n, 0)), _mm256_maskload_ps(p + 8, part_mask(n.n, 1))};
}
inline void store(float* p, Vec v, Full = {}) { _mm256_storeu_ps(p, v.low), _mm256_storeu_ps(p + 8, v.high); }
inline void store(float* p, Vec v, Part n) {
  _mm256_maskstore_ps(p, part_mask(n.n, 0), v.low);
  _mm256_maskstore_ps(p + 8, part_mask(n.n, 1), v.high);
}

inline Vec add(Vec a, Vec b) { return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)}; }
inline Vec sub(Vec a, Vec b) { return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)}; }
inline Vec mul(Vec a, Vec b) { return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)}; }
inline Vec div(Vec a, Vec b) { return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)}; }
inline Vec fma(Vec a, Vec b, Vec c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
inline Vec sqrt(Vec a) { return {_mm256_sqrt_ps(a.low), _mm256_sqrt_ps(a.high)}; }
// b where either is NaN.
inline Vec max(Vec a, Vec b) { return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)}; }
inline Vec min(Vec a, Vec b) { return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)}; }
inline Vec neg(Vec a) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_xor_ps(a.low, sign), _mm256_xor_ps(a.high, sign)};
}
inline Vec abs(Vec a) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, a.low), _mm256_andnot_ps(sign, a.high)};
}
// |a| with the sign of b.
inline Vec copysign(Vec a, Vec b) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_or_ps(_mm256_andnot_ps(sign, a.low), _mm256_and_ps(sign, b.low)),
          _mm256_or_ps(_mm256_andnot_ps(sign, a.high), _mm256_and_ps(sign, b.high))};
}

inline Mask less(Vec a, Vec b) {
  return {_mm256_cmp_ps(a.low, b.low, _CMP_LT_OQ), _mm256_cmp_ps(a.high, b.high, _CMP_LT_OQ)};
}
inline Vec select(Mask m, Vec yes, Vec no) {
  return {_mm256_blendv_ps(no.low, yes.low, m.low), _mm256_blendv_ps(no.high, yes.high, m.high)};
}
// Lanes first .. last.
inline Mask lanes_between(int first, int last) {
  const __m256i low = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), high = _mm256_add_epi32(low, _mm256_set1_epi32(8));
  const __m256i below = _mm256_set1_epi32(first - 1), end = _mm256_set1_epi32(last);
  return {_mm256_castsi256_ps(_mm256_and_si256(_mm256_cmpgt_epi32(low, below), _mm256_cmpgt_epi32(end, low))),
          _mm256_castsi256_ps(_mm256_and_si256(_mm256_cmpgt_epi32(high, below), _mm256_cmpgt_epi32(end, high)))};
}

// p * 2^n in two steps, n = the low bits of shifted (see kRoundMagic).
inline __m256 scale_half(__m256 p, __m256 shifted) {
  const __m256i n = _mm256_sub_epi32(_mm256_castps_si256(shifted), _mm256_set1_epi32(0x4b400000));
  const __m256i half = _mm256_srai_epi32(n, 1), bias = _mm256_set1_epi32(127);
  const __m256 first = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias), 23));
  const __m256 second = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(n, half), bias), 23));
  return _mm256_mul_ps(_mm256_mul_ps(p, first), second);
}
inline Vec scale_by_power(Vec p, Vec shifted) {
  return {scale_half(p.low, shifted.low), scale_half(p.high, shifted.high)};
}

// The tree: lane l with l + 8, then l + 4, l + 2, l + 1.
inline float reduce_add(Vec a) {
  const __m256 s = _mm256_add_ps(a.low, a.high);
  __m128 t = _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
  t = _mm_add_ps(t, _mm_movehl_ps(t, t));
  return _mm_cvtss_f32(_mm_add_ss(t, _mm_movehdup_ps(t)));
}
inline float reduce_max(Vec a) {
  const __m256 s = _mm256_max_ps(a.low, a.high);
  __m128 t = _mm_max_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
  t = _mm_max_ps(t, _mm_movehl_ps(t, t));
  return _mm_cvtss_f32(_mm_max_ss(t, _mm_movehdup_ps(t)));
}

// bf16: 16 consecutive values.
inline Vec widen(__m128i low, __m128i high) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(low), 16)),
          _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(high), 16))};
}
inline Vec load_bf16(const uint16_t* p, Full = {}) {
  return widen(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)),
               _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8)));
}
inline Vec load_bf16(const uint16_t* p, Part n) {
  alignas(32) uint16_t part[16] = {};
  for (int64_t i = 0; i < n.n; ++i) part[i] = p[i];
  return load_bf16(part);
}
// Round to nearest even, upper half of each lane; a NaN stays one.
inline __m256i round_half(__m256 v) {
  const __m256i bits = _mm256_castps_si256(v), upper = _mm256_srli_epi32(bits, 16);
  const __m256i odd = _mm256_and_si256(upper, _mm256_set1_epi32(1));
  const __m256i rounded =
      _mm256_srli_epi32(_mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
  return _mm256_blendv_epi8(rounded, _mm256_or_si256(upper, _mm256_set1_epi32(0x40)), nan);
}
inline Vec round_bf16(Vec v) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(round_half(v.low), 16)),
          _mm256_castsi256_ps(_mm256_slli_epi32(round_half(v.high), 16))};
}
inline void store_bf16(uint16_t* p, Vec v, Full = {}) {
  const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(round_half(v.low), round_half(v.high)), 0xd8);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), packed);
}
inline void store_bf16(uint16_t* p, Vec v, Part n) {
  alignas(32) uint16_t part[16];
  store_bf16(part, v);
  for (int64_t i = 0; i < n.n; ++i) p[i] = part[i];
}

// A bf16 panel line, 16 outputs x 2 inputs with the pair adjacent: the first and the second input.
inline Vec line_even(const void* line) {
  const __m256i* p = static_cast<const __m256i*>(line);
  return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_loadu_si256(p), 16)),
          _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_loadu_si256(p + 1), 16))};
}
inline Vec line_odd(const void* line) {
  const __m256i* p = static_cast<const __m256i*>(line);
  const __m256i upper = _mm256_set1_epi32(static_cast<int>(0xffff0000u));
  return {_mm256_castsi256_ps(_mm256_and_si256(_mm256_loadu_si256(p), upper)),
          _mm256_castsi256_ps(_mm256_and_si256(_mm256_loadu_si256(p + 1), upper))};
}

}  // namespace
}  // namespace g3n
