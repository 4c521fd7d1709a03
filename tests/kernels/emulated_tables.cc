// The x86 tables under emulation, whatever this CPU has.
#include "kernels/table_cases.h"
#include "support/emulated/tables.h"

namespace g3n::test {

std::vector<const KernelTable*> tables_under_test() {
  return {&kEmulatedAvx2Kernels, &kEmulatedAvx2VnniKernels, &kEmulatedAvx512Kernels, &kEmulatedAvx512VnniKernels,
          &kEmulatedAvx512Bf16Kernels};
}

}  // namespace g3n::test
