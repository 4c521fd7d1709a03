// The AVX-512 table of CPUs with VNNI (vpdpbusd): products with q8 and q4 weights in four inputs at a time. C-only
// (design.md 3.12): one external symbol.
#include "kernels/simd/codes_vnni.h"
#include "kernels/simd/neuron_codes_avx512.h"

#include "kernels/simd/kernels.inc"

namespace g3n {
namespace {

bool runnable() {
  return __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512f") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

}  // namespace

extern constexpr KernelTable kAvx512VnniKernels = make_table("avx512_vnni", runnable);

}  // namespace g3n
