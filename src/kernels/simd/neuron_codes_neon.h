// Codes of single neurons on NEON, signed: the interface of neuron_codes_avx2.h. C-only (design.md 3.12).
#pragma once
#include "kernels/simd/codes_neon.h"
#include "kernels/table.h"

namespace g3n {
namespace {

inline uint32_t nonzero_lanes(Vec v) {
  alignas(16) static constexpr uint32_t kBits[4] = {1, 2, 4, 8};
  uint32_t bits = 0;
  for (int i = 0; i < 4; ++i) bits |= vaddvq_u32(vandq_u32(vmvnq_u32(vceqzq_f32(v.v[i])), vld1q_u32(kBits))) << 4 * i;
  return bits;
}

inline Vec pair_factors(const float* p) {
  const float32x4_t even = vdupq_n_f32(p[0]), odd = vdupq_n_f32(p[1]);
  return {{even, even, odd, odd}};
}

inline Vec quad_factors(const float* p) {
  return {{vdupq_n_f32(p[0]), vdupq_n_f32(p[1]), vdupq_n_f32(p[2]), vdupq_n_f32(p[3])}};
}

struct NeuronPairCodes {
  int8x16_t v[4];
};
inline float32x4_t dot_quarter(int8x16_t w, const int8_t* x) {
  return vcvtq_f32_s32(dot_four(vdupq_n_s32(0), w, vld1q_s8(x)));
}
inline Vec dot_pair(NeuronPairCodes w, const int8_t* x) {
  return {
      {dot_quarter(w.v[0], x), dot_quarter(w.v[1], x + 16), dot_quarter(w.v[2], x + 32), dot_quarter(w.v[3], x + 48)}};
}
inline Vec dot_pair_unsigned(NeuronPairCodes w, const int8_t* x) { return dot_pair(w, x); }
inline void put_pair(char* out, NeuronPairCodes w) {
  for (int i = 0; i < 4; ++i) vst1q_s8(reinterpret_cast<int8_t*>(out) + 16 * i, w.v[i]);
}
inline float32x4_t four_floats(int16x4_t sums) { return vcvtq_f32_s32(vmovl_s16(sums)); }

struct NeuronValues {
  int8x8_t a, b;
};
inline NeuronValues neuron_values(NeuronPair p) { return {vdup_n_s8(p.a_code), vdup_n_s8(p.b_code)}; }

// Sixteen-bit sums of a whole group fit (32 x 8 x 127).
struct Q4Neurons {
  static constexpr int kPairBytes = 32;
  static inline int8x16_t less_eight(uint8x16_t codes) { return vsubq_s8(vreinterpretq_s8_u8(codes), vdupq_n_s8(8)); }
  static inline NeuronPairCodes get(const char* p) {
    const uint8x16_t a = vld1q_u8(reinterpret_cast<const uint8_t*>(p)),
                     b = vld1q_u8(reinterpret_cast<const uint8_t*>(p) + 16), nibble = vdupq_n_u8(15);
    return {{less_eight(vandq_u8(a, nibble)), less_eight(vandq_u8(b, nibble)), less_eight(vshrq_n_u8(a, 4)),
             less_eight(vshrq_n_u8(b, 4))}};
  }
  static inline void spread(const char* p, char* out) { put_pair(out, get(p)); }
  using Values = NeuronValues;
  struct Sums {
    int16x8_t v[4];
  };
  static inline Values values(NeuronPair p) { return neuron_values(p); }
  static inline Sums begin(int32_t) {
    const int16x8_t none = vdupq_n_s16(0);
    return {{none, none, none, none}};
  }
  static inline Sums join(Values v, const char* a, const char* b, Sums s) {
    for (int i = 0; i < 4; ++i) {
      s.v[i] = vmlal_s8(s.v[i], vld1_s8(reinterpret_cast<const int8_t*>(a) + 8 * i), v.a);
      s.v[i] = vmlal_s8(s.v[i], vld1_s8(reinterpret_cast<const int8_t*>(b) + 8 * i), v.b);
    }
    return s;
  }
  static inline void end(Sums s, Vec& first, Vec& second) {
    for (int i = 0; i < 4; ++i) {
      Vec& to = i < 2 ? first : second;
      to.v[i % 2 * 2] = four_floats(vget_low_s16(s.v[i])), to.v[i % 2 * 2 + 1] = four_floats(vget_high_s16(s.v[i]));
    }
  }
};

// The two products of a pair fit in sixteen bits (2 x 128 x 127).
struct Q8Neurons {
  static constexpr int kPairBytes = 64;
  static inline NeuronPairCodes get(const char* p) {
    const int8_t* q = reinterpret_cast<const int8_t*>(p);
    return {{vld1q_s8(q), vld1q_s8(q + 16), vld1q_s8(q + 32), vld1q_s8(q + 48)}};
  }
  static inline void spread(const char* p, char* out) { put_pair(out, get(p)); }
  using Values = NeuronValues;
  struct Sums {
    int32x4_t v[8];
  };
  static inline Values values(NeuronPair p) { return neuron_values(p); }
  static inline Sums begin(int32_t) {
    const int32x4_t none = vdupq_n_s32(0);
    return {{none, none, none, none, none, none, none, none}};
  }
  static inline Sums join(Values v, const char* a, const char* b, Sums s) {
    for (int i = 0; i < 4; ++i) {
      const int16x8_t first = vmull_s8(vld1_s8(reinterpret_cast<const int8_t*>(a) + 8 * i), v.a);
      const int16x8_t both = vmlal_s8(first, vld1_s8(reinterpret_cast<const int8_t*>(b) + 8 * i), v.b);
      s.v[2 * i] = vaddw_s16(s.v[2 * i], vget_low_s16(both)), s.v[2 * i + 1] = vaddw_high_s16(s.v[2 * i + 1], both);
    }
    return s;
  }
  static inline void end(Sums s, Vec& first, Vec& second) {
    for (int i = 0; i < 4; ++i) first.v[i] = vcvtq_f32_s32(s.v[i]), second.v[i] = vcvtq_f32_s32(s.v[4 + i]);
  }
};

}  // namespace
}  // namespace g3n
