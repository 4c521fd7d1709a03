// Integer codes of weights on NEON, signed. With the dot product extension where the unit is compiled for it
// (__ARM_FEATURE_DOTPROD), else with widening products. C-only (design.md 3.12).
#pragma once
#include "kernels/iq4_values.h"
#include "kernels/simd/high_bits.h"
#include "kernels/simd/vec_neon.h"

namespace g3n {
namespace {

constexpr int kCodeRows = 4, kCodePanels = 1;  // of a tile: 16 of 32 registers hold sums

using Four = int8x16_t;
inline Four four(const int8_t* x) {
  int32_t bits;
  __builtin_memcpy(&bits, x, 4);
  return vreinterpretq_s8_s32(vdupq_n_s32(bits));
}

inline Vec load_f16(const uint16_t* p) {
  const float16x8_t low = vreinterpretq_f16_u16(vld1q_u16(p)), high = vreinterpretq_f16_u16(vld1q_u16(p + 8));
  return {{vcvt_f32_f16(vget_low_f16(low)), vcvt_high_f32_f16(low), vcvt_f32_f16(vget_low_f16(high)),
           vcvt_high_f32_f16(high)}};
}

// 16 signed codes as floats.
inline Vec load_codes_f32(const int8_t* p) {
  const int8x16_t codes = vld1q_s8(p);
  const int16x8_t low = vmovl_s8(vget_low_s8(codes)), high = vmovl_high_s8(codes);
  return {{vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))), vcvtq_f32_s32(vmovl_high_s16(low)),
           vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))), vcvtq_f32_s32(vmovl_high_s16(high))}};
}

// sum + the four products of each lane; |w * x| <= 128 * 127.
inline int32x4_t dot_four(int32x4_t sum, int8x16_t w, int8x16_t x) {
#if defined(__ARM_FEATURE_DOTPROD)
  return vdotq_s32(sum, w, x);
#else
  const int16x8_t low = vmull_s8(vget_low_s8(w), vget_low_s8(x)), high = vmull_high_s8(w, x);
  return vpadalq_s16(sum, vpaddq_s16(low, high));
#endif
}

struct SignedLine {
  int8x16_t v[4];
};
struct SignedSums {
  int32x4_t v[4];
};

inline void unpack_nibbles(const char* block, int m, SignedLine& a, SignedLine& b) {
  const uint8_t* p = reinterpret_cast<const uint8_t*>(block) + m * 64;
  for (int i = 0; i < 4; ++i) {
    const uint8x16_t both = vld1q_u8(p + i * 16);
    a.v[i] = vreinterpretq_s8_u8(vandq_u8(both, vdupq_n_u8(15)));
    b.v[i] = vreinterpretq_s8_u8(vshrq_n_u8(both, 4));
  }
}
template <int kLeft, int kMask>
inline SignedLine join_bits(SignedLine w, const char* line) {
  for (int i = 0; i < 4; ++i) {
    uint8x16_t v = vld1q_u8(reinterpret_cast<const uint8_t*>(line) + i * 16);
    if constexpr (kLeft >= 0)
      v = vshlq_n_u8(v, kLeft);
    else
      v = vshrq_n_u8(v, -kLeft);
    w.v[i] = vorrq_s8(w.v[i], vreinterpretq_s8_u8(vandq_u8(v, vdupq_n_u8(kMask))));
  }
  return w;
}
// Each code (0..15) replaced by its entry of a table.
inline SignedLine look_up(SignedLine w, const int8_t* table) {
  const int8x16_t entries = vld1q_s8(table);
  for (int i = 0; i < 4; ++i) w.v[i] = vqtbl1q_s8(entries, vreinterpretq_u8_s8(w.v[i]));
  return w;
}
inline SignedLine less(SignedLine w, int8_t offset) {
  for (int i = 0; i < 4; ++i) w.v[i] = vsubq_s8(w.v[i], vdupq_n_s8(offset));
  return w;
}

struct SignedCodes {
  static constexpr int kStep = 1, kTurn = 0;
  using Line = SignedLine;
  using Sums = SignedSums;
  static inline void put(char* p, Line w) {
    for (int i = 0; i < 4; ++i) vst1q_s8(reinterpret_cast<int8_t*>(p) + i * 16, w.v[i]);
  }
  static inline Line get(const char* p) {
    const int8_t* q = reinterpret_cast<const int8_t*>(p);
    return {{vld1q_s8(q), vld1q_s8(q + 16), vld1q_s8(q + 32), vld1q_s8(q + 48)}};
  }
  static inline Sums begin(const int32_t*) {
    const int32x4_t none = vdupq_n_s32(0);
    return {{none, none, none, none}};
  }
  static inline Sums join(Four x, Line w, Sums s) {
    return {{dot_four(s.v[0], w.v[0], x), dot_four(s.v[1], w.v[1], x), dot_four(s.v[2], w.v[2], x),
             dot_four(s.v[3], w.v[3], x)}};
  }
  static inline Vec end(Sums s, const int32_t*) {
    return {{vcvtq_f32_s32(s.v[0]), vcvtq_f32_s32(s.v[1]), vcvtq_f32_s32(s.v[2]), vcvtq_f32_s32(s.v[3])}};
  }
};

struct Q4Codes : SignedCodes {
  static constexpr int kBlockBytes = 256;
  static inline void unpack(const char* block, int m, Line& a, Line& b) {
    unpack_nibbles(block, m, a, b);
    a = less(a, 8), b = less(b, 8);
  }
};
struct Q4KCodes : SignedCodes {
  static constexpr int kBlockBytes = 256;
  static inline void unpack(const char* block, int m, Line& a, Line& b) { unpack_nibbles(block, m, a, b); }
};
struct Q5KCodes : SignedCodes {
  static constexpr int kBlockBytes = 320;
  static inline void unpack(const char* block, int m, Line& a, Line& b) { unpack_fifth_bits(block, m, a, b); }
};
struct Q50Codes : SignedCodes {
  static constexpr int kBlockBytes = 320;
  static inline void unpack(const char* block, int m, Line& a, Line& b) {
    unpack_fifth_bits(block, m, a, b);
    a = less(a, 16), b = less(b, 16);
  }
};
struct Q6KCodes : SignedCodes {
  static constexpr int kBlockBytes = 384;
  static inline void unpack(const char* block, int m, Line& a, Line& b) {
    unpack_high_pairs(block, m, a, b);
    a = less(a, 32), b = less(b, 32);
  }
};
struct Q8Codes : SignedCodes {
  static constexpr int kBlockBytes = 512;
  static inline void unpack(const char* block, int m, Line& a, Line& b) {
    const uint8_t* p = reinterpret_cast<const uint8_t*>(block) + m * 128;
    const uint8x16_t flip = vdupq_n_u8(128);
    for (int i = 0; i < 4; ++i) {
      a.v[i] = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(p + i * 16), flip));
      b.v[i] = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(p + 64 + i * 16), flip));
    }
  }
};

// Nibbles are numbers of a table of values (of IQ4_NL and IQ4_XS); then as q8.
struct Iq4Codes : Q8Codes {
  static constexpr int kBlockBytes = 256;
  static inline void unpack(const char* block, int m, Line& a, Line& b) {
    unpack_nibbles(block, m, a, b);
    a = look_up(a, kIq4Values), b = look_up(b, kIq4Values);
  }
};

// 32 values to codes: nearest, ties to even; |x * inverse| <= 127. Returns the sum of the codes.
inline int32_t put_codes(const float* x, float inverse, int8_t* codes) {
  int32_t sum = 0;
  for (int half = 0; half < 2; ++half) {
    int32x4_t c[4];
    for (int i = 0; i < 4; ++i) c[i] = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x + half * 16 + i * 4), inverse));
    const int16x8_t low = vcombine_s16(vmovn_s32(c[0]), vmovn_s32(c[1])),
                    high = vcombine_s16(vmovn_s32(c[2]), vmovn_s32(c[3]));
    vst1q_s8(codes + half * 16, vcombine_s8(vmovn_s16(low), vmovn_s16(high)));
    sum += vaddlvq_s16(low) + vaddlvq_s16(high);
  }
  return sum;
}

}  // namespace
}  // namespace g3n
