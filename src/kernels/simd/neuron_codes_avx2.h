// Codes of single neurons on AVX2. The same interface as neuron_codes_avx512.h and neuron_codes_neon.h:
// Pair: the codes of two blocks of a row of `up`; Sums: of 32 outputs of `down` over live neurons, two at a time; those
// of Q4Neurons are of 16 bits and take any codes that are not negative. C-only (design.md 3.12).
#pragma once
#include "kernels/simd/codes_avx2_common.h"
#include "kernels/table.h"

namespace g3n {
namespace {

// Bit i: lane i is not 0 (NaN is not).
inline uint32_t nonzero_lanes(Vec v) {
  const __m256 none = _mm256_setzero_ps();
  return static_cast<uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(v.low, none, _CMP_NEQ_UQ))) |
         static_cast<uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(v.high, none, _CMP_NEQ_UQ))) << 8;
}

// p[0] in the lanes of an even block, p[1] in those of the odd one.
inline Vec pair_factors(const float* p) { return {_mm256_broadcast_ss(p), _mm256_broadcast_ss(p + 1)}; }

// p[0] in the first four lanes, p[1] in the next, and so on.
inline Vec quad_factors(const float* p) {
  const __m256 four = _mm256_broadcast_ps(reinterpret_cast<const __m128*>(p));
  return {_mm256_permutevar_ps(four, _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1)),
          _mm256_permutevar_ps(four, _mm256_setr_epi32(2, 2, 2, 2, 3, 3, 3, 3))};
}

inline __m256i load_ymm(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }

// |w| times x with the sign of w; never the other way round, w may be -128.
struct NeuronPairCodes {
  __m256i even, odd;
};
inline __m256i block_sums(__m256i w, const int8_t* x) {
  return _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(load_ymm(x), w)),
                           _mm256_set1_epi16(1));
}
inline Vec dot_pair(NeuronPairCodes w, const int8_t* x) {
  return {_mm256_cvtepi32_ps(block_sums(w.even, x)), _mm256_cvtepi32_ps(block_sums(w.odd, x + 32))};
}
// Of codes that are not negative.
inline Vec dot_pair_unsigned(NeuronPairCodes w, const int8_t* x) {
  const __m256i ones = _mm256_set1_epi16(1);
  return {_mm256_cvtepi32_ps(_mm256_madd_epi16(_mm256_maddubs_epi16(w.even, load_ymm(x)), ones)),
          _mm256_cvtepi32_ps(_mm256_madd_epi16(_mm256_maddubs_epi16(w.odd, load_ymm(x + 32)), ones))};
}

// Sixteen-bit sums of a whole group fit (32 x 8 x 127), and what wraps on the way comes back: unsigned codes, from
// start = -8 * sum of the values.
struct Q4Neurons {
  static constexpr int kPairBytes = 32;  // of 64 codes
  static inline NeuronPairCodes get(const char* p) {
    const __m256i nibble = _mm256_set1_epi8(15), offset = _mm256_set1_epi8(8), both = load_ymm(p);
    return {_mm256_sub_epi8(_mm256_and_si256(both, nibble), offset),
            _mm256_sub_epi8(_mm256_and_si256(_mm256_srli_epi16(both, 4), nibble), offset)};
  }
  static inline void spread(const char* p, char* out) {  // 64 codes, a byte each
    const __m256i nibble = _mm256_set1_epi8(15), both = load_ymm(p);
    put_line(out, {_mm256_and_si256(both, nibble), _mm256_and_si256(_mm256_srli_epi16(both, 4), nibble)});
  }
  using Values = __m256i;
  struct Sums {
    __m256i low, high;  // outputs 0-7 and 16-23, 8-15 and 24-31
  };
  static inline Values values(NeuronPair p) {
    return _mm256_set1_epi16(
        static_cast<int16_t>(static_cast<uint8_t>(p.a_code) | static_cast<uint8_t>(p.b_code) << 8));
  }
  static inline Sums begin(int32_t start) {
    const __m256i s = _mm256_set1_epi16(static_cast<int16_t>(start));
    return {s, s};
  }
  static inline Sums join(Values v, const char* a, const char* b, Sums s) {
    const __m256i wa = load_ymm(a), wb = load_ymm(b);
    return {_mm256_add_epi16(s.low, _mm256_maddubs_epi16(_mm256_unpacklo_epi8(wa, wb), v)),
            _mm256_add_epi16(s.high, _mm256_maddubs_epi16(_mm256_unpackhi_epi8(wa, wb), v))};
  }
  static inline __m256 eight(__m128i sums) { return _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(sums)); }
  static inline void end(Sums s, Vec& first, Vec& second) {
    first = {eight(_mm256_castsi256_si128(s.low)), eight(_mm256_castsi256_si128(s.high))};
    second = {eight(_mm256_extracti128_si256(s.low, 1)), eight(_mm256_extracti128_si256(s.high, 1))};
  }
};

struct Q8Neurons {
  static constexpr int kPairBytes = 64;
  static inline NeuronPairCodes get(const char* p) { return {load_ymm(p), load_ymm(p + 32)}; }
  static inline void spread(const char* p, char* out) { put_line(out, {load_ymm(p), load_ymm(p + 32)}); }
  using Values = __m256i;
  struct Sums {
    __m256i a, b, c, d;  // of eight outputs each
  };
  static inline Values values(NeuronPair p) {
    return _mm256_set1_epi32(static_cast<int32_t>((p.a_code & 0xffff) | static_cast<uint32_t>(p.b_code) << 16));
  }
  static inline Sums begin(int32_t) {
    const __m256i none = _mm256_setzero_si256();
    return {none, none, none, none};
  }
  static inline __m256i join_eight(Values v, __m128i pairs, __m256i sum) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_cvtepi8_epi16(pairs), v));
  }
  static inline Sums join(Values v, const char* a, const char* b, Sums s) {
    const __m128i *pa = reinterpret_cast<const __m128i*>(a), *pb = reinterpret_cast<const __m128i*>(b);
    const __m128i a0 = _mm_loadu_si128(pa), b0 = _mm_loadu_si128(pb), a1 = _mm_loadu_si128(pa + 1),
                  b1 = _mm_loadu_si128(pb + 1);
    return {join_eight(v, _mm_unpacklo_epi8(a0, b0), s.a), join_eight(v, _mm_unpackhi_epi8(a0, b0), s.b),
            join_eight(v, _mm_unpacklo_epi8(a1, b1), s.c), join_eight(v, _mm_unpackhi_epi8(a1, b1), s.d)};
  }
  static inline void end(Sums s, Vec& first, Vec& second) {
    first = {_mm256_cvtepi32_ps(s.a), _mm256_cvtepi32_ps(s.b)};
    second = {_mm256_cvtepi32_ps(s.c), _mm256_cvtepi32_ps(s.d)};
  }
};

}  // namespace
}  // namespace g3n
