// Integer codes of weights on AVX2 with AVX-VNNI (laptops since 2021). C-only (design.md 3.12).
#pragma once
#include "kernels/simd/codes_avx2_common.h"
#include "kernels/simd/codes_unsigned.h"

namespace g3n {
namespace {

struct AvxVnni {
  static constexpr int kStep = 1, kTurn = 0;
  using Line = YmmLine;
  using Sums = YmmSums;
  static inline Line load_line(const char* p) {
    const __m256i* line = reinterpret_cast<const __m256i*>(p);
    return {_mm256_loadu_si256(line), _mm256_loadu_si256(line + 1)};
  }
  static inline Sums all_sums(int32_t value) { return {_mm256_set1_epi32(value), _mm256_set1_epi32(value)}; }
  static inline void put(char* p, Line w) { put_line(p, w); }
  static inline Line get(const char* p) { return get_line(p); }
  static inline Sums join(Four x, Line w, Sums s) {
    return {_mm256_dpbusd_avx_epi32(s.low, w.low, x), _mm256_dpbusd_avx_epi32(s.high, w.high, x)};
  }
  static inline Vec end(Sums s, const int32_t*) { return {_mm256_cvtepi32_ps(s.low), _mm256_cvtepi32_ps(s.high)}; }
};
using Q4Codes = UnsignedQ4<AvxVnni>;
using Q4KCodes = UnsignedQ4K<AvxVnni>;
using Q5KCodes = UnsignedQ5K<AvxVnni>;
using Q50Codes = UnsignedQ50<AvxVnni>;
using Q6KCodes = UnsignedQ6K<AvxVnni>;
using Q8Codes = UnsignedQ8<AvxVnni>;
using Iq4Codes = UnsignedIq4<AvxVnni>;

}  // namespace
}  // namespace g3n
