// The AVX-512 table: needs F, BW, DQ and VL. C-only (design.md 3.12): one external symbol.
#include "kernels/simd/codes_avx512.h"
#include "kernels/simd/neuron_codes_avx512.h"

#include "kernels/simd/kernels.inc"

namespace g3n {
namespace {

bool runnable() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

}  // namespace

extern constexpr KernelTable kAvx512Kernels = make_table("avx512", runnable);

}  // namespace g3n
