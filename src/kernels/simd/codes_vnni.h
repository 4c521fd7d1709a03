// Integer codes of weights on AVX-512 with VNNI: unsigned codes, sums start at -offset * sum(x). C-only
// (design.md 3.12).
#pragma once
#include "kernels/iq4_values.h"
#include "kernels/simd/codes_avx512_common.h"

namespace g3n {
namespace {

struct UnsignedCodes {
  static constexpr int kStep = 1, kTurn = 0;
  using Line = ZmmLine;
  using Sums = ZmmSums;
  static inline void put(char* p, Line w) { _mm512_storeu_si512(p, w.v); }
  static inline Line get(const char* p) { return {load_codes(p)}; }
  static inline Sums join(Four x, Line w, Sums s) { return {_mm512_dpbusd_epi32(s.v, w.v, x)}; }
  static inline Vec end(Sums s, const int32_t*) { return {_mm512_cvtepi32_ps(s.v)}; }
};
struct Q4Codes : UnsignedCodes {
  static constexpr int kBlockBytes = 256;
  static inline void unpack(const char* block, int m, Line& a, Line& b) { unpack_nibbles(block, m, a, b); }
  static inline Sums begin(const int32_t* start) { return {_mm512_set1_epi32(*start)}; }
};
struct CodesFromZero : UnsignedCodes {
  static inline Sums begin(const int32_t*) { return {_mm512_setzero_si512()}; }
};
struct Q4KCodes : CodesFromZero {
  static constexpr int kBlockBytes = 256;
  static inline void unpack(const char* block, int m, Line& a, Line& b) { unpack_nibbles(block, m, a, b); }
};
struct Q5KCodes : CodesFromZero {
  static constexpr int kBlockBytes = 320;
  static inline void unpack(const char* block, int m, Line& a, Line& b) { unpack_fifth_bits(block, m, a, b); }
};
struct Q6KCodes : UnsignedCodes {
  static constexpr int kBlockBytes = 384;
  static inline void unpack(const char* block, int m, Line& a, Line& b) { unpack_high_pairs(block, m, a, b); }
  static inline Sums begin(const int32_t* start) { return {_mm512_set1_epi32(*start)}; }
};
// The offset of q8 is 128, sixteen times that of q4.
struct Q8Codes : UnsignedCodes {
  static constexpr int kBlockBytes = 512;
  static inline void unpack(const char* block, int m, Line& a, Line& b) {
    a = {load_codes(block + m * 128)};
    b = {load_codes(block + m * 128 + 64)};
  }
  static inline Sums begin(const int32_t* start) { return {_mm512_set1_epi32(*start * 16)}; }
};

// Nibbles are numbers of a table of values (of IQ4_NL and IQ4_XS); then as q8.
struct Iq4Codes : Q8Codes {
  static constexpr int kBlockBytes = 256;
  static inline void unpack(const char* block, int m, Line& a, Line& b) {
    unpack_nibbles(block, m, a, b);
    a = look_up(a, kIq4Unsigned), b = look_up(b, kIq4Unsigned);
  }
};

}  // namespace
}  // namespace g3n
