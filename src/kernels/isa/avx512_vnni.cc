// CPUs with VNNI (vpdpbusd): products with weights in codes four inputs at a time, over the AVX-512 table. C-only
// (design.md 3.12): one external symbol.
#include "kernels/simd/codes_vnni.h"
#include "kernels/simd/neuron_codes_avx512.h"

#include "kernels/simd/code_products.inc"

namespace g3n {
namespace {

bool runnable() {
  return __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512f") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

}  // namespace

extern constexpr KernelTable kAvx512VnniKernels = code_products("avx512_vnni", runnable, "avx512");

}  // namespace g3n
