// Vec: 16 floats as four NEON registers (AArch64). The same interface as vec_avx2.h and vec_avx512.h.
// C-only (design.md 3.12): no std:: names, everything in an anonymous namespace.
#pragma once
#include <arm_neon.h>
#include <stdint.h>

namespace g3n {
namespace {

constexpr int kTileRows = 6, kTilePanels = 1;  // 24 of 32 registers hold sums

struct Vec {
  float32x4_t v[4];
};
struct Mask {
  uint32x4_t m[4];
};
struct Full {};  // all 16 lanes
struct Part {    // the first n lanes, 0 < n < 16; the others are read as +0 and not stored
  int64_t n;
};

// f(i) for the four quarters.
template <typename F>
inline __attribute__((always_inline)) Vec quarters(F f) {
  return {{f(0), f(1), f(2), f(3)}};
}

inline Vec splat(float v) {
  const float32x4_t s = vdupq_n_f32(v);
  return {{s, s, s, s}};
}
inline Vec zero() { return splat(0.0f); }
inline Vec load(const float* p, Full = {}) {
  return {{vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)}};
}
inline void store(float* p, Vec a, Full = {}) {
  vst1q_f32(p, a.v[0]), vst1q_f32(p + 4, a.v[1]), vst1q_f32(p + 8, a.v[2]), vst1q_f32(p + 12, a.v[3]);
}
inline Vec load(const float* p, Part n) {
  float part[16] = {};
  for (int64_t i = 0; i < n.n; ++i) part[i] = p[i];
  return load(part);
}
inline void store(float* p, Vec a, Part n) {
  float part[16];
  store(part, a);
  for (int64_t i = 0; i < n.n; ++i) p[i] = part[i];
}

inline Vec add(Vec a, Vec b) {
  return quarters([&](int i) { return vaddq_f32(a.v[i], b.v[i]); });
}
inline Vec sub(Vec a, Vec b) {
  return quarters([&](int i) { return vsubq_f32(a.v[i], b.v[i]); });
}
inline Vec mul(Vec a, Vec b) {
  return quarters([&](int i) { return vmulq_f32(a.v[i], b.v[i]); });
}
inline Vec div(Vec a, Vec b) {
  return quarters([&](int i) { return vdivq_f32(a.v[i], b.v[i]); });
}
inline Vec fma(Vec a, Vec b, Vec c) {
  return quarters([&](int i) { return vfmaq_f32(c.v[i], a.v[i], b.v[i]); });
}
inline Vec sqrt(Vec a) {
  return quarters([&](int i) { return vsqrtq_f32(a.v[i]); });
}
inline Vec neg(Vec a) {
  return quarters([&](int i) { return vnegq_f32(a.v[i]); });
}
inline Vec abs(Vec a) {
  return quarters([&](int i) { return vabsq_f32(a.v[i]); });
}

inline Mask less(Vec a, Vec b) {
  return {{vcltq_f32(a.v[0], b.v[0]), vcltq_f32(a.v[1], b.v[1]), vcltq_f32(a.v[2], b.v[2]), vcltq_f32(a.v[3], b.v[3])}};
}
inline Vec select(Mask m, Vec yes, Vec no) {
  return quarters([&](int i) { return vbslq_f32(m.m[i], yes.v[i], no.v[i]); });
}
// b where either is NaN, as on x86 (vmaxq_f32 would hand NaN on).
inline Vec max(Vec a, Vec b) { return select(less(b, a), a, b); }
inline Vec min(Vec a, Vec b) { return select(less(a, b), a, b); }
// |a| with the sign of b.
inline Vec copysign(Vec a, Vec b) {
  const uint32x4_t sign = vdupq_n_u32(0x80000000u);
  return quarters([&](int i) { return vbslq_f32(sign, b.v[i], a.v[i]); });
}
// Lanes first .. last.
inline Mask lanes_between(int first, int last) {
  alignas(16) static constexpr int32_t kLanes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const int32x4_t from = vdupq_n_s32(first), to = vdupq_n_s32(last);
  Mask m;
  for (int i = 0; i < 4; ++i) {
    const int32x4_t lane = vld1q_s32(kLanes + 4 * i);
    m.m[i] = vandq_u32(vcgeq_s32(lane, from), vcltq_s32(lane, to));
  }
  return m;
}

// p * 2^n in two steps, n = the low bits of shifted (see kRoundMagic).
inline Vec scale_by_power(Vec p, Vec shifted) {
  const int32x4_t magic = vdupq_n_s32(0x4b400000), bias = vdupq_n_s32(127);
  return quarters([&](int i) {
    const int32x4_t n = vsubq_s32(vreinterpretq_s32_f32(shifted.v[i]), magic), half = vshrq_n_s32(n, 1);
    const float32x4_t first = vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(half, bias), 23));
    const float32x4_t second = vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vsubq_s32(n, half), bias), 23));
    return vmulq_f32(vmulq_f32(p.v[i], first), second);
  });
}

// The tree: lane l with l + 8, then l + 4, l + 2, l + 1.
inline float reduce_add(Vec a) {
  const float32x4_t s = vaddq_f32(vaddq_f32(a.v[0], a.v[2]), vaddq_f32(a.v[1], a.v[3]));
  const float32x2_t t = vadd_f32(vget_low_f32(s), vget_high_f32(s));
  return vget_lane_f32(t, 0) + vget_lane_f32(t, 1);
}
inline float reduce_max(Vec a) { return vmaxvq_f32(vmaxq_f32(vmaxq_f32(a.v[0], a.v[2]), vmaxq_f32(a.v[1], a.v[3]))); }

// bf16: 16 consecutive values.
inline Vec load_bf16(const uint16_t* p, Full = {}) {
  return quarters([&](int i) { return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p + 4 * i), 16)); });
}
inline Vec load_bf16(const uint16_t* p, Part n) {
  uint16_t part[16] = {};
  for (int64_t i = 0; i < n.n; ++i) part[i] = p[i];
  return load_bf16(part);
}
// Round to nearest even, upper half of each lane; a NaN stays one.
inline uint32x4_t round_quarter(float32x4_t v) {
  const uint32x4_t bits = vreinterpretq_u32_f32(v), upper = vshrq_n_u32(bits, 16),
                   odd = vandq_u32(upper, vdupq_n_u32(1));
  const uint32x4_t rounded = vshrq_n_u32(vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff))), 16);
  return vbslq_u32(vceqq_f32(v, v), rounded, vorrq_u32(upper, vdupq_n_u32(0x40)));
}
inline Vec round_bf16(Vec a) {
  return quarters([&](int i) { return vreinterpretq_f32_u32(vshlq_n_u32(round_quarter(a.v[i]), 16)); });
}
inline void store_bf16(uint16_t* p, Vec a, Full = {}) {
  for (int i = 0; i < 4; ++i) vst1_u16(p + 4 * i, vmovn_u32(round_quarter(a.v[i])));
}
inline void store_bf16(uint16_t* p, Vec a, Part n) {
  uint16_t part[16];
  store_bf16(part, a);
  for (int64_t i = 0; i < n.n; ++i) p[i] = part[i];
}

// A bf16 panel line, 16 outputs x 2 inputs with the pair adjacent: the first and the second input.
inline Vec line_even(const void* line) {
  return quarters([&](int i) {
    return vreinterpretq_f32_u32(vshlq_n_u32(vld1q_u32(static_cast<const uint32_t*>(line) + 4 * i), 16));
  });
}
inline Vec line_odd(const void* line) {
  const uint32x4_t upper = vdupq_n_u32(0xffff0000u);
  return quarters([&](int i) {
    return vreinterpretq_f32_u32(vandq_u32(vld1q_u32(static_cast<const uint32_t*>(line) + 4 * i), upper));
  });
}

}  // namespace
}  // namespace g3n
