// Integer codes of weights on AVX-512 without VNNI: codes_avx2.h at twice the width. C-only (design.md 3.12).
#pragma once
#include "kernels/iq4_values.h"
#include "kernels/simd/codes_avx512_common.h"

namespace g3n {
namespace {

// Unsigned codes: the 16-bit sums of one block fit.
struct Q4Codes {
  static constexpr int kBlockBytes = 256, kStep = 1, kTurn = 0;
  using Line = ZmmLine;
  using Sums = ZmmSums;
  static inline void unpack(const char* block, int m, Line& a, Line& b) { unpack_nibbles(block, m, a, b); }
  static inline void put(char* p, Line w) { _mm512_storeu_si512(p, w.v); }
  static inline Line get(const char* p) { return {load_codes(p)}; }
  static inline Sums begin(const int32_t*) { return {_mm512_setzero_si512()}; }
  static inline Sums join(Four x, Line w, Sums s) { return {_mm512_add_epi16(s.v, _mm512_maddubs_epi16(w.v, x))}; }
  static inline Vec end(Sums s, const int32_t* start) {
    return {
        _mm512_cvtepi32_ps(_mm512_add_epi32(_mm512_madd_epi16(s.v, _mm512_set1_epi16(1)), _mm512_set1_epi32(*start)))};
  }
};

// Signed codes; there is no 512-bit sign instruction: x is negated under the mask of negative w.
struct Q8Codes {
  static constexpr int kBlockBytes = 512, kStep = 1, kTurn = 0;
  using Line = ZmmLine;
  using Sums = ZmmSums;
  static inline void unpack(const char* block, int m, Line& a, Line& b) {
    const __m512i sign = _mm512_set1_epi8(-128);
    a = {_mm512_xor_si512(load_codes(block + m * 128), sign)};
    b = {_mm512_xor_si512(load_codes(block + m * 128 + 64), sign)};
  }
  static inline void put(char* p, Line w) { _mm512_storeu_si512(p, w.v); }
  static inline Line get(const char* p) { return {load_codes(p)}; }
  static inline Sums begin(const int32_t*) { return {_mm512_setzero_si512()}; }
  static inline Sums join(Four x, Line w, Sums s) {
    const __m512i signed_x = _mm512_mask_sub_epi8(x, _mm512_movepi8_mask(w.v), _mm512_setzero_si512(), x);
    const __m512i pairs = _mm512_maddubs_epi16(_mm512_abs_epi8(w.v), signed_x);
    return {_mm512_add_epi32(s.v, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)))};
  }
  static inline Vec end(Sums s, const int32_t*) { return {_mm512_cvtepi32_ps(s.v)}; }
};

struct Q4KCodes : Q4Codes {
  static inline Vec end(Sums s, const int32_t*) {
    return {_mm512_cvtepi32_ps(_mm512_madd_epi16(s.v, _mm512_set1_epi16(1)))};
  }
};

struct Q5KCodes {
  static constexpr int kBlockBytes = 320, kStep = 1, kTurn = 4;
  using Line = ZmmLine;
  struct Sums {
    __m512i v, wide;
  };
  static inline void unpack(const char* block, int m, Line& a, Line& b) { unpack_fifth_bits(block, m, a, b); }
  static inline void put(char* p, Line w) { _mm512_storeu_si512(p, w.v); }
  static inline Line get(const char* p) { return {load_codes(p)}; }
  static inline Sums begin(const int32_t*) { return {_mm512_setzero_si512(), _mm512_setzero_si512()}; }
  static inline Sums join(Four x, Line w, Sums s) {
    return {_mm512_add_epi16(s.v, _mm512_maddubs_epi16(w.v, x)), s.wide};
  }
  static inline Sums turn(Sums s) { return {_mm512_setzero_si512(), _mm512_madd_epi16(s.v, _mm512_set1_epi16(1))}; }
  static inline Vec end(Sums s, const int32_t*) {
    return {_mm512_cvtepi32_ps(_mm512_add_epi32(_mm512_madd_epi16(s.v, _mm512_set1_epi16(1)), s.wide))};
  }
};

struct Q50Codes : Q5KCodes {
  static inline Vec end(Sums s, const int32_t* start) {
    return Q5KCodes::end({s.v, _mm512_add_epi32(s.wide, _mm512_set1_epi32(*start * 2))}, start);
  }
};

struct Q6KCodes {
  static constexpr int kBlockBytes = 384, kStep = 2, kTurn = 0;
  using Line = ZmmLine;
  using Sums = ZmmSums;
  static inline void unpack(const char* block, int m, Line& a, Line& b) { unpack_high_pairs(block, m, a, b); }
  static inline void put(char* p, Line w) { _mm512_storeu_si512(p, w.v); }
  static inline Line get(const char* p) { return {load_codes(p)}; }
  static inline Sums begin(const int32_t* start) { return {_mm512_set1_epi32(*start)}; }
  static inline Sums join_two(Four x, Line w, Four next_x, Line next_w, Sums s) {
    const __m512i pairs = _mm512_add_epi16(_mm512_maddubs_epi16(w.v, x), _mm512_maddubs_epi16(next_w.v, next_x));
    return {_mm512_add_epi32(s.v, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)))};
  }
  static inline Vec end(Sums s, const int32_t*) { return {_mm512_cvtepi32_ps(s.v)}; }
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
