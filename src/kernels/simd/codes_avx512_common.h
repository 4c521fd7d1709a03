// What codes_avx512.h and codes_vnni.h share. C-only (design.md 3.12).
#pragma once
#include "kernels/simd/high_bits.h"
#include "kernels/simd/vec_avx512.h"

namespace g3n {
namespace {

constexpr int kCodeRows = 8, kCodePanels = 2;  // of a tile: 16 of 32 registers hold sums

using Four = __m512i;
inline Four four(const int8_t* x) {
  int32_t bits;
  __builtin_memcpy(&bits, x, 4);
  return _mm512_set1_epi32(bits);
}

inline Vec load_f16(const uint16_t* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}

// 16 signed codes as floats.
inline Vec load_codes_f32(const int8_t* p) {
  return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))))};
}

struct ZmmLine {
  __m512i v;
};
struct ZmmSums {
  __m512i v;
};
inline __m512i load_codes(const char* p) { return _mm512_loadu_si512(p); }
inline void unpack_nibbles(const char* block, int m, ZmmLine& a, ZmmLine& b) {
  const __m512i nibble = _mm512_set1_epi8(15), both = load_codes(block + m * 64);
  a = {_mm512_and_si512(both, nibble)};
  b = {_mm512_and_si512(_mm512_srli_epi16(both, 4), nibble)};
}

// Each code (0..15) replaced by its entry of a table.
inline ZmmLine look_up(ZmmLine w, const int8_t* table) {
  const __m512i entries = _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
  return {_mm512_shuffle_epi8(entries, w.v)};
}
template <int kLeft, int kMask>
inline ZmmLine join_bits(ZmmLine w, const char* line) {
  __m512i v = load_codes(line);
  if constexpr (kLeft >= 0)
    v = _mm512_slli_epi16(v, kLeft);
  else
    v = _mm512_srli_epi16(v, -kLeft);
  return {_mm512_or_si512(w.v, _mm512_and_si512(v, _mm512_set1_epi8(kMask)))};
}

// 32 values to codes: nearest, ties to even; |x * inverse| <= 127. Returns the sum of the codes.
inline int32_t put_codes(const float* x, float inverse, int8_t* codes) {
  const __m512 factor = _mm512_set1_ps(inverse);
  const __m512i a = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x), factor)),
                b = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + 16), factor));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(codes), _mm512_cvtsepi32_epi8(a));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(codes + 16), _mm512_cvtsepi32_epi8(b));
  return _mm512_reduce_add_epi32(_mm512_add_epi32(a, b));
}

}  // namespace
}  // namespace g3n
