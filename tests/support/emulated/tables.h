// The AVX2 and AVX-512 tables compiled from the same units with portable intrinsics (immintrin.h beside this file):
// library kernels_emulated, of which CMake may build some only. They run on any CPU, slowly.
#pragma once
#include "kernels/table.h"

namespace g3n {

extern const KernelTable kEmulatedAvx2Kernels;
extern const KernelTable kEmulatedAvx2VnniKernels;
extern const KernelTable kEmulatedAvx512Kernels;
extern const KernelTable kEmulatedAvx512VnniKernels;
extern const KernelTable kEmulatedAvx512Bf16Kernels;

}  // namespace g3n
