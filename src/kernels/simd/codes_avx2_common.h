// What codes_avx2.h and codes_avxvnni.h share. C-only (design.md 3.12).
#pragma once
#include "kernels/simd/high_bits.h"
#include "kernels/simd/vec_avx2.h"

namespace g3n {
namespace {

constexpr int kCodeRows = 4, kCodePanels = 1;  // of a tile: 8 of 16 registers hold sums

using Four = __m256i;
inline Four four(const int8_t* x) {
  int32_t bits;
  __builtin_memcpy(&bits, x, 4);
  return _mm256_set1_epi32(bits);
}

inline Vec load_f16(const uint16_t* p) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
          _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8)))};
}

// 16 signed codes as floats.
inline Vec load_codes_f32(const int8_t* p) {
  const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(codes)),
          _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(codes, 8)))};
}

// g++ 12 would load a line again for every row.
inline void keep_in_registers(__m256i& a, __m256i& b) {
#if defined(__GNUC__) && defined(__AVX2__)
  __asm__("" : "+x"(a), "+x"(b));
#endif
}

struct YmmLine {
  __m256i low, high;
};
struct YmmSums {
  __m256i low, high;
};
inline void put_line(char* p, YmmLine w) {
  _mm256_store_si256(reinterpret_cast<__m256i*>(p), w.low);
  _mm256_store_si256(reinterpret_cast<__m256i*>(p + 32), w.high);
}
inline YmmLine get_line(const char* p) {
  YmmLine w{_mm256_load_si256(reinterpret_cast<const __m256i*>(p)),
            _mm256_load_si256(reinterpret_cast<const __m256i*>(p + 32))};
  keep_in_registers(w.low, w.high);
  return w;
}
inline void unpack_nibbles(const char* block, int m, YmmLine& a, YmmLine& b) {
  const __m256i nibble = _mm256_set1_epi8(15);
  const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(block + m * 64));
  const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(block + m * 64 + 32));
  a = {_mm256_and_si256(low, nibble), _mm256_and_si256(high, nibble)};
  b = {_mm256_and_si256(_mm256_srli_epi16(low, 4), nibble), _mm256_and_si256(_mm256_srli_epi16(high, 4), nibble)};
}

// Each code (0..15) replaced by its entry of a table.
inline YmmLine look_up(YmmLine w, const int8_t* table) {
  const __m256i entries = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
  return {_mm256_shuffle_epi8(entries, w.low), _mm256_shuffle_epi8(entries, w.high)};
}
template <int kLeft>
inline __m256i moved_bits(__m256i v) {
  if constexpr (kLeft >= 0)
    return _mm256_slli_epi16(v, kLeft);
  else
    return _mm256_srli_epi16(v, -kLeft);
}
template <int kLeft, int kMask>
inline YmmLine join_bits(YmmLine w, const char* line) {
  const __m256i* p = reinterpret_cast<const __m256i*>(line);
  const __m256i mask = _mm256_set1_epi8(kMask);
  return {_mm256_or_si256(w.low, _mm256_and_si256(moved_bits<kLeft>(_mm256_loadu_si256(p)), mask)),
          _mm256_or_si256(w.high, _mm256_and_si256(moved_bits<kLeft>(_mm256_loadu_si256(p + 1)), mask))};
}

// 32 values to codes: nearest, ties to even; |x * inverse| <= 127. Returns the sum of the codes.
inline __m256i code_eight(const float* x, __m256 inverse) {
  return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), inverse));
}
inline int32_t put_codes(const float* x, float inverse, int8_t* codes) {
  const __m256 factor = _mm256_set1_ps(inverse);
  const __m256i a = code_eight(x, factor), b = code_eight(x + 8, factor), c = code_eight(x + 16, factor),
                d = code_eight(x + 24, factor);
  const __m256i packed = _mm256_packs_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes),
                      _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)));
  const __m256i sum = _mm256_add_epi32(_mm256_add_epi32(a, b), _mm256_add_epi32(c, d));
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
}

}  // namespace
}  // namespace g3n
