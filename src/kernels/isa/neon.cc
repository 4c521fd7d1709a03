// The NEON table: every AArch64 CPU has what it needs. C-only (design.md 3.12): one external symbol.
#include "kernels/simd/codes_neon.h"
#include "kernels/simd/neuron_codes_neon.h"

#include "kernels/simd/kernels.inc"

namespace g3n {
namespace {

bool runnable() { return true; }

}  // namespace

extern constexpr KernelTable kNeonKernels = make_table("neon", runnable);

}  // namespace g3n
