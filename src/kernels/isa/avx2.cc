// The AVX2 table: needs AVX2, FMA and F16C. C-only (design.md 3.12): one external symbol.
#include "kernels/simd/codes_avx2.h"
#include "kernels/simd/neuron_codes_avx2.h"

#include "kernels/simd/kernels.inc"

namespace g3n {
namespace {

bool runnable() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}

}  // namespace

extern constexpr KernelTable kAvx2Kernels = make_table("avx2", runnable);

}  // namespace g3n
