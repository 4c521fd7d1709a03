// CPUs with vdpbf16ps (they have VNNI, too): dense products and attention scores of bf16 by bf16 two inputs at a time,
// over the table with VNNI. C-only (design.md 3.12): one external symbol.
#include "kernels/simd/codes_vnni.h"
#include "kernels/simd/neuron_codes_avx512.h"

#include "kernels/simd/bodies.inc"

namespace g3n {
namespace {

// One place of x is a pair of bf16 inputs: the odd product, then the even one, denormals flushed. Sparse products do
// not use it.
struct PairPanel {
  static constexpr int kBytes = 2, kSteps = 1, kPerPlace = 2;
  static inline Vec line(const char* panel, int64_t k, int) {
    return load(reinterpret_cast<const float*>(panel + k * 32));
  }
  static inline int64_t place(int64_t k, int) { return k / 2; }
  static inline Vec join(Vec x, Vec line, Vec sum) {
    return {_mm512_dpbf16_ps(sum.v, __builtin_bit_cast(__m512bh, x.v), __builtin_bit_cast(__m512bh, line.v))};
  }
};

bool runnable() {
  return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vnni") &&
         __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

constexpr KernelTable bf16_products() {
  KernelTable t{};
  t.name = "avx512_bf16";
  t.runnable = runnable;
  t.below = "avx512_vnni";
  t.bf16_dot = true;
  t.matmul_bf16_bf16 = panel_matmul<PairPanel>;
  t.attention_bf16_bf16 = attention<FloatBlocks<PairPanel, BF16Values>>;
  return t;
}

}  // namespace

extern constexpr KernelTable kAvx512Bf16Kernels = bf16_products();

}  // namespace g3n
