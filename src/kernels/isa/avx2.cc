// The AVX2 table: needs AVX2 and FMA. C-only (design.md 3.12): one external symbol.
#include "kernels/simd/vec_avx2.h"

#include "kernels/simd/kernels.inc"

namespace g3n {
namespace {

bool runnable() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

}  // namespace

extern constexpr KernelTable kAvx2Kernels = make_table("avx2", runnable);

}  // namespace g3n
