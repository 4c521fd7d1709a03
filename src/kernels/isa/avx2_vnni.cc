// CPUs with AVX-VNNI and without AVX-512: what it changes of the AVX2 table. C-only (design.md 3.12): one external
// symbol.
#include <cpuid.h>

#include "kernels/simd/codes_avxvnni.h"
#include "kernels/simd/neuron_codes_avx2.h"

#include "kernels/simd/code_products.inc"

namespace g3n {
namespace {

bool runnable() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  const bool vnni = __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
  return vnni && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}

}  // namespace

extern constexpr KernelTable kAvx2VnniKernels = code_products("avx2_vnni", runnable, "avx2");

}  // namespace g3n
