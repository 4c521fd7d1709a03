// The tables of the ISA units, one per unit, whole or parts; which of them are built is decided by CMakeLists.txt.
#pragma once
#include "kernels/table.h"

namespace g3n {

// What a unit for further instructions has of its own (kernels of weights in codes, attention over q8, bf16 dot
// products) laid over the whole table that it names as `below`, which is the last of that name in `tables`.
KernelTable made_whole(const KernelTable& own, TableList tables);

extern const KernelTable kAvx2Kernels;
extern const KernelTable kAvx2VnniKernels;
extern const KernelTable kAvx512Kernels;
extern const KernelTable kAvx512VnniKernels;
extern const KernelTable kAvx512Bf16Kernels;
extern const KernelTable kNeonKernels;
extern const KernelTable kNeonDotKernels;

}  // namespace g3n
