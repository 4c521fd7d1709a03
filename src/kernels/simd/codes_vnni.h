// Integer codes of q8 and q4 weights on AVX-512 with VNNI: unsigned codes, sums start at -offset * sum(x). C-only
// (design.md 3.12).
#pragma once
#include "kernels/simd/codes_avx512_common.h"

namespace g3n {
namespace {

struct Q4Codes {
  static constexpr int kBlockBytes = 256;
  using Line = ZmmLine;
  using Sums = ZmmSums;
  static inline void unpack(const char* block, int m, Line& a, Line& b) { unpack_nibbles(block, m, a, b); }
  static inline void put(char* p, Line w) { _mm512_storeu_si512(p, w.v); }
  static inline Line get(const char* p) { return {load_codes(p)}; }
  static inline Sums begin(const int32_t* start) { return {_mm512_set1_epi32(*start)}; }
  static inline Sums join(Four x, Line w, Sums s) { return {_mm512_dpbusd_epi32(s.v, w.v, x)}; }
  static inline Vec end(Sums s, const int32_t*) { return {_mm512_cvtepi32_ps(s.v)}; }
};

// The offset of q8 is 128, sixteen times that of q4.
struct Q8Codes {
  static constexpr int kBlockBytes = 512;
  using Line = ZmmLine;
  using Sums = ZmmSums;
  static inline void unpack(const char* block, int m, Line& a, Line& b) {
    a = {load_codes(block + m * 128)};
    b = {load_codes(block + m * 128 + 64)};
  }
  static inline void put(char* p, Line w) { _mm512_storeu_si512(p, w.v); }
  static inline Line get(const char* p) { return {load_codes(p)}; }
  static inline Sums begin(const int32_t* start) { return {_mm512_set1_epi32(*start * 16)}; }
  static inline Sums join(Four x, Line w, Sums s) { return {_mm512_dpbusd_epi32(s.v, w.v, x)}; }
  static inline Vec end(Sums s, const int32_t*) { return {_mm512_cvtepi32_ps(s.v)}; }
};

}  // namespace
}  // namespace g3n
