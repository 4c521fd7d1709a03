// The AVX2 and AVX-512 tables compiled from the same units with portable intrinsics (immintrin.h beside this file):
// library kernels_emulated, of which CMake may build some only. They run on any CPU, slowly.
#pragma once
#include <deque>
#include <vector>

#include "kernels/isa/tables.h"

namespace g3n {

extern const KernelTable kEmulatedAvx2Kernels;
extern const KernelTable kEmulatedAvx2VnniKernels;
extern const KernelTable kEmulatedAvx512Kernels;
extern const KernelTable kEmulatedAvx512VnniKernels;
extern const KernelTable kEmulatedAvx512Bf16Kernels;

// Those that CMake chose (G3N_EMULATE), whole: a part over the emulated table below it, else over this CPU's own.
inline const std::vector<const KernelTable*>& emulated_tables() {
  static std::deque<KernelTable> made;
  static const std::vector<const KernelTable*> emulated = [] {
    const TableList native = all_kernels();
    std::vector<const KernelTable*> all(native.tables, native.tables + native.count);
    for (const KernelTable* own : {G3N_EMULATED_TABLES})
      all.push_back(own->below ? &made.emplace_back(made_whole(*own, {all.data(), static_cast<int>(all.size())}))
                               : own);
    return std::vector<const KernelTable*>(all.begin() + native.count, all.end());
  }();
  return emulated;
}

}  // namespace g3n
