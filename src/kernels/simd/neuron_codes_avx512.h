// Codes of single neurons on AVX-512: the interface of neuron_codes_avx2.h. C-only (design.md 3.12).
#pragma once
#include "kernels/simd/codes_avx512_common.h"
#include "kernels/table.h"

namespace g3n {
namespace {

inline uint32_t nonzero_lanes(Vec v) { return _mm512_cmp_ps_mask(v.v, _mm512_setzero_ps(), _CMP_NEQ_UQ); }

inline Vec pair_factors(const float* p) {
  return {_mm512_mask_blend_ps(0xff00, _mm512_set1_ps(p[0]), _mm512_set1_ps(p[1]))};
}

inline Vec quad_factors(const float* p) {
  const __m512i lanes = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
  return {_mm512_permutexvar_ps(lanes, _mm512_castps128_ps512(_mm_loadu_ps(p)))};
}

inline __m256i load_ymm(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }

struct NeuronPairCodes {
  __m512i w;
};
inline Vec dot_pair(NeuronPairCodes w, const int8_t* x) {
  const __m512i from = _mm512_loadu_si512(x),
                signed_x = _mm512_mask_sub_epi8(from, _mm512_movepi8_mask(w.w), _mm512_setzero_si512(), from);
  return {_mm512_cvtepi32_ps(
      _mm512_madd_epi16(_mm512_maddubs_epi16(_mm512_abs_epi8(w.w), signed_x), _mm512_set1_epi16(1)))};
}
inline Vec dot_pair_unsigned(NeuronPairCodes w, const int8_t* x) {
  return {
      _mm512_cvtepi32_ps(_mm512_madd_epi16(_mm512_maddubs_epi16(w.w, _mm512_loadu_si512(x)), _mm512_set1_epi16(1)))};
}
inline __m512i spread_nibbles(const char* p) {
  const __m256i both = load_ymm(p);
  return _mm512_and_si512(_mm512_inserti64x4(_mm512_castsi256_si512(both), _mm256_srli_epi16(both, 4), 1),
                          _mm512_set1_epi8(15));
}

// Sixteen-bit sums of a whole group fit (32 x 8 x 127), and what wraps on the way comes back: unsigned codes, from
// start = -8 * sum of the values.
struct Q4Neurons {
  static constexpr int kPairBytes = 32;
  static inline NeuronPairCodes get(const char* p) { return {_mm512_sub_epi8(spread_nibbles(p), _mm512_set1_epi8(8))}; }
  static inline void spread(const char* p, char* out) { _mm512_storeu_si512(out, spread_nibbles(p)); }
  using Values = __m512i;
  struct Sums {
    __m512i v;
  };
  static inline Values values(NeuronPair p) {
    return _mm512_set1_epi16(
        static_cast<int16_t>(static_cast<uint8_t>(p.a_code) | static_cast<uint8_t>(p.b_code) << 8));
  }
  static inline Sums begin(int32_t start) { return {_mm512_set1_epi16(static_cast<int16_t>(start))}; }
  static inline Sums join(Values v, const char* a, const char* b, Sums s) {
    const __m512i pairs =
        _mm512_or_si512(_mm512_cvtepu8_epi16(load_ymm(a)), _mm512_slli_epi16(_mm512_cvtepu8_epi16(load_ymm(b)), 8));
    return {_mm512_add_epi16(s.v, _mm512_maddubs_epi16(pairs, v))};
  }
  static inline void end(Sums s, Vec& first, Vec& second) {
    first = {_mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(_mm512_castsi512_si256(s.v)))};
    second = {_mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(_mm512_extracti64x4_epi64(s.v, 1)))};
  }
};

struct Q8Neurons {
  static constexpr int kPairBytes = 64;
  static inline NeuronPairCodes get(const char* p) { return {load_codes(p)}; }
  static inline void spread(const char* p, char* out) { _mm512_storeu_si512(out, load_codes(p)); }
  using Values = __m512i;
  struct Sums {
    __m512i low, high;
  };
  static inline Values values(NeuronPair p) {
    return _mm512_set1_epi32(static_cast<int32_t>((p.a_code & 0xffff) | static_cast<uint32_t>(p.b_code) << 16));
  }
  static inline Sums begin(int32_t) { return {_mm512_setzero_si512(), _mm512_setzero_si512()}; }
  static inline __m512i widened(const char* p) {
    return _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static inline __m512i join_half(Values v, const char* a, const char* b, __m512i sum) {
    const __m512i pairs = _mm512_mask_blend_epi16(0xaaaaaaaa, widened(a), _mm512_slli_epi32(widened(b), 16));
    return _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, v));
  }
  static inline Sums join(Values v, const char* a, const char* b, Sums s) {
    return {join_half(v, a, b, s.low), join_half(v, a + 16, b + 16, s.high)};
  }
  static inline void end(Sums s, Vec& first, Vec& second) {
    first = {_mm512_cvtepi32_ps(s.low)};
    second = {_mm512_cvtepi32_ps(s.high)};
  }
};

}  // namespace
}  // namespace g3n
