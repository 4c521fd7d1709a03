// Integer codes of q8 and q4 weights on AVX2 without VNNI. The same interface as codes_avxvnni.h, codes_avx512.h,
// codes_vnni.h and codes_neon.h: Line: 16 outputs x 4 inputs, as the products take it; Sums: of 16 outputs within a
// block; Four: four activations, repeated. C-only (design.md 3.12).
#pragma once
#include "kernels/simd/codes_avx2_common.h"

namespace g3n {
namespace {

// Unsigned codes: the 16-bit sums of one block fit (8 lines x 2 x 15 x 127).
struct Q4Codes {
  static constexpr int kBlockBytes = 256;
  using Line = YmmLine;
  using Sums = YmmSums;
  // Lines 2m and 2m + 1 of a block, from the panel.
  static inline void unpack(const char* block, int m, Line& a, Line& b) { unpack_nibbles(block, m, a, b); }
  static inline void put(char* p, Line w) { put_line(p, w); }
  static inline Line get(const char* p) { return get_line(p); }
  static inline Sums begin(const int32_t*) { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
  static inline Sums join(Four x, Line w, Sums s) {
    return {_mm256_add_epi16(s.low, _mm256_maddubs_epi16(w.low, x)),
            _mm256_add_epi16(s.high, _mm256_maddubs_epi16(w.high, x))};
  }
  static inline Vec end(Sums s, const int32_t* start) {
    const __m256i ones = _mm256_set1_epi16(1), first = _mm256_set1_epi32(*start);
    return {_mm256_cvtepi32_ps(_mm256_add_epi32(_mm256_madd_epi16(s.low, ones), first)),
            _mm256_cvtepi32_ps(_mm256_add_epi32(_mm256_madd_epi16(s.high, ones), first))};
  }
};

// Signed codes: |w| times x with the sign of w; never the other way round, w may be -128.
struct Q8Codes {
  static constexpr int kBlockBytes = 512;
  using Line = YmmLine;
  using Sums = YmmSums;
  static inline void unpack(const char* block, int m, Line& a, Line& b) {
    const __m256i sign = _mm256_set1_epi8(-128);
    const __m256i* p = reinterpret_cast<const __m256i*>(block + m * 128);
    a = {_mm256_xor_si256(_mm256_loadu_si256(p), sign), _mm256_xor_si256(_mm256_loadu_si256(p + 1), sign)};
    b = {_mm256_xor_si256(_mm256_loadu_si256(p + 2), sign), _mm256_xor_si256(_mm256_loadu_si256(p + 3), sign)};
  }
  static inline void put(char* p, Line w) { put_line(p, w); }
  static inline Line get(const char* p) { return get_line(p); }
  static inline Sums begin(const int32_t*) { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
  static inline __m256i product(__m256i x, __m256i w) {
    return _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w)), _mm256_set1_epi16(1));
  }
  static inline Sums join(Four x, Line w, Sums s) {
    return {_mm256_add_epi32(s.low, product(x, w.low)), _mm256_add_epi32(s.high, product(x, w.high))};
  }
  static inline Vec end(Sums s, const int32_t*) { return {_mm256_cvtepi32_ps(s.low), _mm256_cvtepi32_ps(s.high)}; }
};

}  // namespace
}  // namespace g3n
