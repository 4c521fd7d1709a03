// Which kernel tables this build has, which of them this CPU runs, and which one is used.
#include <cstdlib>
#include <string>
#include <string_view>

#include "g3n/error.h"
#include "kernels/isa/tables.h"
#include "kernels/table.h"

namespace g3n {
namespace {

// Best last; a part behind what it is laid over.
constexpr const KernelTable* kUnits[] = {
    &kReferenceKernels,
#if defined(G3N_KERNELS_X86)
    &kAvx2Kernels,      &kAvx2VnniKernels, &kAvx512Kernels, &kAvx512VnniKernels, &kAvx512Bf16Kernels,
#elif defined(G3N_KERNELS_ARM)
    &kNeonKernels,
    &kNeonDotKernels,
#endif
};
constexpr int kUnitCount = sizeof(kUnits) / sizeof(kUnits[0]);

struct Tables {
  KernelTable made[kUnitCount];  // of parts
  const KernelTable *all[kUnitCount], *runnable[kUnitCount];
  int runnable_count = 0;
  Tables() {
    for (int i = 0; i < kUnitCount; ++i) {
      all[i] = kUnits[i];
      if (kUnits[i]->below) all[i] = &(made[i] = made_whole(*kUnits[i], {all, i}));
      if (all[i]->runnable()) runnable[runnable_count++] = all[i];
    }
  }
};
const Tables& tables() {
  static const Tables made;
  return made;
}

template <typename Kernel>
void lay(Kernel* own, Kernel*& over) {
  if (own) over = own;
}

}  // namespace

KernelTable made_whole(const KernelTable& own, TableList tables) {
  int below = tables.count - 1;
  while (std::string_view(tables.tables[below]->name) != own.below) --below;
  KernelTable t = *tables.tables[below];
  t.name = own.name;
  t.runnable = own.runnable;
  for (CodeKernels KernelTable::*type : kCodeTypes) {
    lay((own.*type).matmul, (t.*type).matmul);
    lay((own.*type).neuron_dot, (t.*type).neuron_dot);
    lay((own.*type).neuron_sum, (t.*type).neuron_sum);
  }
  lay(own.attention_q8, t.attention_q8);
  if (own.bf16_dot) {
    t.bf16_dot = true;
    t.matmul_bf16_bf16 = own.matmul_bf16_bf16;
    t.attention_bf16_bf16 = own.attention_bf16_bf16;
  }
  return t;
}

TableList all_kernels() { return {tables().all, kUnitCount}; }
TableList runnable_kernels() { return {tables().runnable, tables().runnable_count}; }

const KernelTable& best_kernels() {
  const TableList list = runnable_kernels();
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
