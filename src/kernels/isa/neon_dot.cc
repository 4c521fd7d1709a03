// CPUs with the dot product extension (sdot; Armv8.2 and later): what it changes of the NEON table. C-only (design.md
// 3.12): one external symbol.
#include <sys/auxv.h>

#include "kernels/simd/codes_neon.h"
#include "kernels/simd/neuron_codes_neon.h"

#include "kernels/simd/code_kernels.inc"

namespace g3n {
namespace {

constexpr unsigned long kHasDotProducts = 1ul << 20;  // HWCAP_ASIMDDP

bool runnable() { return getauxval(AT_HWCAP) & kHasDotProducts; }

}  // namespace

extern constexpr KernelTable kNeonDotKernels = code_kernels("neon_dot", runnable, "neon");

}  // namespace g3n
