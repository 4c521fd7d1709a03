// Integer codes of weights on AVX2 without VNNI. The same interface as codes_avxvnni.h, codes_avx512.h, codes_vnni.h
// and codes_neon.h: Line: 16 outputs x 4 inputs, as the products take it; Sums: of 16 outputs within a block (q6k: half
// a block); Four: four activations, repeated. Lines are joined one by one, kStep = 2: in pairs; behind line kTurn of a
// block (0: none) turn() makes room in the sums. C-only (design.md 3.12).
#pragma once
#include "kernels/iq4_values.h"
#include "kernels/simd/codes_avx2_common.h"

namespace g3n {
namespace {

// Unsigned codes: the 16-bit sums of one block fit (8 lines x 2 x 15 x 127).
struct Q4Codes {
  static constexpr int kBlockBytes = 256, kStep = 1, kTurn = 0;
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
  static constexpr int kBlockBytes = 512, kStep = 1, kTurn = 0;
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

// As q4, without an offset.
struct Q4KCodes : Q4Codes {
  static inline Vec end(Sums s, const int32_t*) {
    const __m256i ones = _mm256_set1_epi16(1);
    return {_mm256_cvtepi32_ps(_mm256_madd_epi16(s.low, ones)), _mm256_cvtepi32_ps(_mm256_madd_epi16(s.high, ones))};
  }
};

// 16-bit sums hold half a block (4 lines x 2 x 31 x 127); those of the first half are widened in between.
struct Q5KCodes {
  static constexpr int kBlockBytes = 320, kStep = 1, kTurn = 4;
  using Line = YmmLine;
  struct Sums {
    __m256i low, high, wide_low, wide_high;
  };
  static inline void unpack(const char* block, int m, Line& a, Line& b) { unpack_fifth_bits(block, m, a, b); }
  static inline void put(char* p, Line w) { put_line(p, w); }
  static inline Line get(const char* p) { return get_line(p); }
  static inline Sums begin(const int32_t*) {
    const __m256i none = _mm256_setzero_si256();
    return {none, none, none, none};
  }
  static inline Sums join(Four x, Line w, Sums s) {
    return {_mm256_add_epi16(s.low, _mm256_maddubs_epi16(w.low, x)),
            _mm256_add_epi16(s.high, _mm256_maddubs_epi16(w.high, x)), s.wide_low, s.wide_high};
  }
  static inline Sums turn(Sums s) {
    const __m256i none = _mm256_setzero_si256(), ones = _mm256_set1_epi16(1);
    return {none, none, _mm256_madd_epi16(s.low, ones), _mm256_madd_epi16(s.high, ones)};
  }
  static inline Vec end(Sums s, const int32_t*) {
    const __m256i ones = _mm256_set1_epi16(1);
    return {_mm256_cvtepi32_ps(_mm256_add_epi32(_mm256_madd_epi16(s.low, ones), s.wide_low)),
            _mm256_cvtepi32_ps(_mm256_add_epi32(_mm256_madd_epi16(s.high, ones), s.wide_high))};
  }
};

// The offset is 16, twice that of q4.
struct Q50Codes : Q5KCodes {
  static inline Vec end(Sums s, const int32_t* start) {
    const __m256i first = _mm256_set1_epi32(*start * 2);
    return Q5KCodes::end({s.low, s.high, _mm256_add_epi32(s.wide_low, first), _mm256_add_epi32(s.wide_high, first)},
                         start);
  }
};

// 16-bit sums hold two lines (2 x 2 x 63 x 127), then they join those of half a block.
struct Q6KCodes {
  static constexpr int kBlockBytes = 384, kStep = 2, kTurn = 0;
  using Line = YmmLine;
  using Sums = YmmSums;
  static inline void unpack(const char* block, int m, Line& a, Line& b) { unpack_high_pairs(block, m, a, b); }
  static inline void put(char* p, Line w) { put_line(p, w); }
  static inline Line get(const char* p) { return get_line(p); }
  static inline Sums begin(const int32_t* start) { return {_mm256_set1_epi32(*start), _mm256_set1_epi32(*start)}; }
  static inline Sums join_two(Four x, Line w, Four next_x, Line next_w, Sums s) {
    const __m256i ones = _mm256_set1_epi16(1);
    const __m256i low = _mm256_add_epi16(_mm256_maddubs_epi16(w.low, x), _mm256_maddubs_epi16(next_w.low, next_x));
    const __m256i high = _mm256_add_epi16(_mm256_maddubs_epi16(w.high, x), _mm256_maddubs_epi16(next_w.high, next_x));
    return {_mm256_add_epi32(s.low, _mm256_madd_epi16(low, ones)),
            _mm256_add_epi32(s.high, _mm256_madd_epi16(high, ones))};
  }
  static inline Vec end(Sums s, const int32_t*) { return {_mm256_cvtepi32_ps(s.low), _mm256_cvtepi32_ps(s.high)}; }
};

// Nibbles are numbers of a table of values (of IQ4_NL and IQ4_XS); then as q8.
struct Iq4Codes : Q8Codes {
  static constexpr int kBlockBytes = 256;
  static inline void unpack(const char* block, int m, Line& a, Line& b) {
    unpack_nibbles(block, m, a, b);
    a = look_up(a, kIq4Values), b = look_up(b, kIq4Values);
  }
};

}  // namespace
}  // namespace g3n
