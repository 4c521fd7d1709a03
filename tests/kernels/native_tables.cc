// The tables this CPU runs; which ones it does not is printed, so that a log says what was not tested here.
#include <cstdio>

#include "kernels/table_cases.h"

namespace g3n::test {

std::vector<const KernelTable*> tables_under_test() {
  std::vector<const KernelTable*> tables;
  static bool told = false;
  for (int i = 0; i < all_kernels().count; ++i) {
    const KernelTable* table = all_kernels().tables[i];
    if (table == &kReferenceKernels) continue;
    if (table->runnable())
      tables.push_back(table);
    else if (!told)
      std::printf("not run natively: table %s, this CPU lacks its instructions\n", table->name);
  }
  told = true;
  return tables;
}

}  // namespace g3n::test
