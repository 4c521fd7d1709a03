// Which kernel tables this build has, which of them this CPU runs, and which one is used.
#include <cstdlib>
#include <string>

#include "g3n/error.h"
#include "kernels/isa/tables.h"
#include "kernels/table.h"

namespace g3n {
namespace {

// Best last.
constexpr const KernelTable* kAll[] = {
    &kReferenceKernels,
#if defined(G3N_KERNELS_X86)
    &kAvx2Kernels,      &kAvx2VnniKernels, &kAvx512Kernels, &kAvx512VnniKernels, &kAvx512Bf16Kernels,
#elif defined(G3N_KERNELS_ARM)
    &kNeonKernels,
    &kNeonDotKernels,
#endif
};
constexpr int kAllCount = sizeof(kAll) / sizeof(kAll[0]);

struct Runnable {
  const KernelTable* tables[kAllCount];
  int count = 0;
  Runnable() {
    for (const KernelTable* table : kAll)
      if (table->runnable()) tables[count++] = table;
  }
};
const Runnable& runnable() {
  static const Runnable list;
  return list;
}

}  // namespace

TableList all_kernels() { return {kAll, kAllCount}; }
TableList runnable_kernels() { return {runnable().tables, runnable().count}; }

const KernelTable& best_kernels() {
  const Runnable& list = runnable();
  const char* wanted = std::getenv("G3N_ISA");
  if (!wanted || !*wanted) return *list.tables[list.count - 1];
  std::string choices;
  for (int i = 0; i < list.count; ++i) {
    if (std::string(wanted) == list.tables[i]->name) return *list.tables[i];
    choices += (i ? ", " : "") + std::string(list.tables[i]->name);
  }
  throw Error(ErrorCode::kInvalidArgument, "G3N_ISA is '" + std::string(wanted) + "'; this CPU runs " + choices);
}

}  // namespace g3n
