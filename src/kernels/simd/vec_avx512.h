// Vec: 16 floats as one AVX-512 register (F, BW, DQ, VL). The same interface as vec_avx2.h and vec_neon.h.
// C-only (design.md 3.12): no std:: names, everything in an anonymous namespace.
#pragma once
#include <immintrin.h>
#include <stdint.h>

namespace g3n {
namespace {

constexpr int kTileRows = 12, kTilePanels = 2;  // 24 of 32 registers hold sums

struct Vec {
  __m512 v;
};
struct Mask {
  __mmask16 m;
};
struct Full {};  // all 16 lanes
struct Part {    // the first n lanes, 0 < n < 16; the others are read as +0 and not stored
  int64_t n;
};
inline __mmask16 part_mask(Part n) { return static_cast<__mmask16>((1u << n.n) - 1); }

inline Vec zero() { return {_mm512_setzero_ps()}; }
inline Vec splat(float v) { return {_mm512_set1_ps(v)}; }
inline Vec load(const float* p, Full = {}) { return {_mm512_loadu_ps(p)}; }
inline Vec load(const float* p, Part n) { return {_mm512_maskz_loadu_ps(part_mask(n), p)}; }
inline void store(float* p, Vec v, Full = {}) { _mm512_storeu_ps(p, v.v); }
inline void store(float* p, Vec v, Part n) { _mm512_mask_storeu_ps(p, part_mask(n), v.v); }

inline Vec add(Vec a, Vec b) { return {_mm512_add_ps(a.v, b.v)}; }
inline Vec sub(Vec a, Vec b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline Vec mul(Vec a, Vec b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline Vec div(Vec a, Vec b) { return {_mm512_div_ps(a.v, b.v)}; }
inline Vec fma(Vec a, Vec b, Vec c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline Vec sqrt(Vec a) { return {_mm512_sqrt_ps(a.v)}; }
// b where either is NaN.
inline Vec max(Vec a, Vec b) { return {_mm512_max_ps(a.v, b.v)}; }
inline Vec min(Vec a, Vec b) { return {_mm512_min_ps(a.v, b.v)}; }

inline __m512i bits(Vec a) { return _mm512_castps_si512(a.v); }
inline Vec from_bits(__m512i a) { return {_mm512_castsi512_ps(a)}; }
inline __m512i sign_bit() { return _mm512_set1_epi32(INT32_MIN); }
inline Vec neg(Vec a) { return from_bits(_mm512_xor_si512(bits(a), sign_bit())); }
inline Vec abs(Vec a) { return from_bits(_mm512_andnot_si512(sign_bit(), bits(a))); }
// |a| with the sign of b.
inline Vec copysign(Vec a, Vec b) {
  return from_bits(_mm512_or_si512(_mm512_andnot_si512(sign_bit(), bits(a)), _mm512_and_si512(sign_bit(), bits(b))));
}

inline Mask less(Vec a, Vec b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)}; }
inline Vec select(Mask m, Vec yes, Vec no) { return {_mm512_mask_blend_ps(m.m, no.v, yes.v)}; }
// Lanes first .. last.
inline Mask lanes_between(int first, int last) {
  const int from = first < 0 ? 0 : first > 16 ? 16 : first, to = last < 0 ? 0 : last > 16 ? 16 : last;
  return {static_cast<__mmask16>(((1u << to) - 1) & ~((1u << from) - 1))};
}

// p * 2^n in two steps, n = the low bits of shifted (see kRoundMagic).
inline Vec scale_by_power(Vec p, Vec shifted) {
  const __m512i n = _mm512_sub_epi32(bits(shifted), _mm512_set1_epi32(0x4b400000)), half = _mm512_srai_epi32(n, 1);
  const __m512i bias = _mm512_set1_epi32(127);
  const Vec first = from_bits(_mm512_slli_epi32(_mm512_add_epi32(half, bias), 23));
  const Vec second = from_bits(_mm512_slli_epi32(_mm512_add_epi32(_mm512_sub_epi32(n, half), bias), 23));
  return mul(mul(p, first), second);
}

// The tree: lane l with l + 8, then l + 4, l + 2, l + 1.
inline __m256 upper_half(Vec a) { return _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a.v), 1)); }
inline float reduce_add(Vec a) {
  const __m256 s = _mm256_add_ps(_mm512_castps512_ps256(a.v), upper_half(a));
  __m128 t = _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
  t = _mm_add_ps(t, _mm_movehl_ps(t, t));
  return _mm_cvtss_f32(_mm_add_ss(t, _mm_movehdup_ps(t)));
}
inline float reduce_max(Vec a) {
  const __m256 s = _mm256_max_ps(_mm512_castps512_ps256(a.v), upper_half(a));
  __m128 t = _mm_max_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
  t = _mm_max_ps(t, _mm_movehl_ps(t, t));
  return _mm_cvtss_f32(_mm_max_ss(t, _mm_movehdup_ps(t)));
}

// bf16: 16 consecutive values.
inline Vec widen(__m256i v) { return from_bits(_mm512_slli_epi32(_mm512_cvtepu16_epi32(v), 16)); }
inline Vec load_bf16(const uint16_t* p, Full = {}) {
  return widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
inline Vec load_bf16(const uint16_t* p, Part n) { return widen(_mm256_maskz_loadu_epi16(part_mask(n), p)); }
// Round to nearest even, upper half of each lane; a NaN stays one.
inline __m512i round_upper(Vec v) {
  const __m512i upper = _mm512_srli_epi32(bits(v), 16), odd = _mm512_and_si512(upper, _mm512_set1_epi32(1));
  const __m512i rounded =
      _mm512_srli_epi32(_mm512_add_epi32(bits(v), _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff))), 16);
  const __mmask16 nan = _mm512_cmp_ps_mask(v.v, v.v, _CMP_UNORD_Q);
  return _mm512_mask_blend_epi32(nan, rounded, _mm512_or_si512(upper, _mm512_set1_epi32(0x40)));
}
inline Vec round_bf16(Vec v) { return from_bits(_mm512_slli_epi32(round_upper(v), 16)); }
inline void store_bf16(uint16_t* p, Vec v, Full = {}) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(round_upper(v)));
}
inline void store_bf16(uint16_t* p, Vec v, Part n) {
  _mm256_mask_storeu_epi16(p, part_mask(n), _mm512_cvtepi32_epi16(round_upper(v)));
}

// A bf16 panel line, 16 outputs x 2 inputs with the pair adjacent: the first and the second input.
inline Vec line_even(const void* line) { return from_bits(_mm512_slli_epi32(_mm512_loadu_si512(line), 16)); }
inline Vec line_odd(const void* line) {
  return from_bits(_mm512_and_si512(_mm512_loadu_si512(line), _mm512_set1_epi32(static_cast<int>(0xffff0000u))));
}

}  // namespace
}  // namespace g3n
