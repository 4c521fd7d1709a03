// The tables of the ISA units, one per unit; which of them are built is decided by CMakeLists.txt.
#pragma once
#include "kernels/table.h"

namespace g3n {

extern const KernelTable kAvx2Kernels;
extern const KernelTable kAvx2VnniKernels;
extern const KernelTable kAvx512Kernels;
extern const KernelTable kAvx512VnniKernels;
extern const KernelTable kAvx512Bf16Kernels;
extern const KernelTable kNeonKernels;
extern const KernelTable kNeonDotKernels;

}  // namespace g3n
