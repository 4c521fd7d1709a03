// Integer codes of weights on AVX-512 with VNNI. C-only (design.md 3.12).
#pragma once
#include "kernels/simd/codes_avx512_common.h"
#include "kernels/simd/codes_unsigned.h"

namespace g3n {
namespace {

struct Vnni {
  static constexpr int kStep = 1, kTurn = 0;
  using Line = ZmmLine;
  using Sums = ZmmSums;
  static inline Line load_line(const char* p) { return {load_codes(p)}; }
  static inline Sums all_sums(int32_t value) { return {_mm512_set1_epi32(value)}; }
  static inline void put(char* p, Line w) { _mm512_storeu_si512(p, w.v); }
  static inline Line get(const char* p) { return {load_codes(p)}; }
  static inline Sums join(Four x, Line w, Sums s) { return {_mm512_dpbusd_epi32(s.v, w.v, x)}; }
  static inline Vec end(Sums s, const int32_t*) { return {_mm512_cvtepi32_ps(s.v)}; }
};
using Q4Codes = UnsignedQ4<Vnni>;
using Q4KCodes = UnsignedQ4K<Vnni>;
using Q5KCodes = UnsignedQ5K<Vnni>;
using Q50Codes = UnsignedQ50<Vnni>;
using Q6KCodes = UnsignedQ6K<Vnni>;
using Q8Codes = UnsignedQ8<Vnni>;
using Iq4Codes = UnsignedIq4<Vnni>;

}  // namespace
}  // namespace g3n
