// The x86 tables under emulation that CMake chose (G3N_EMULATE).
#include "kernels/table_cases.h"
#include "support/emulated/tables.h"

namespace g3n::test {

std::vector<const KernelTable*> tables_under_test() { return emulated_tables(); }

}  // namespace g3n::test
