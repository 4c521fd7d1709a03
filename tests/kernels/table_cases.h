// What the tests of raw kernels share: the tables under test (native, or emulated in a binary of its own) and packed
// weights.
#pragma once
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/thread_pool.h"
#include "kernels/pack.h"
#include "kernels/table.h"
#include "support/guarded.h"
#include "support/tolerance.h"

namespace g3n::test {

std::vector<const KernelTable*> tables_under_test();  // without the reference

// A weight with memory of its own, touching a guard page.
struct PackedWeight {
  WeightView view;
  Guarded<std::byte> memory;
  PackedWeight(DType dtype, Layout layout, int64_t rows, int64_t cols, uint32_t seed)
      : view{dtype, layout, rows, cols, packed_step_bytes(dtype, layout, rows, cols), nullptr},
        memory(static_cast<size_t>(packed_bytes(dtype, layout, rows, cols))) {
    std::vector<float> values = normal(static_cast<size_t>(rows * cols), seed);
    if (dtype == DType::kBF16)
      for (float& v : values) v = bf16_to_f32(f32_to_bf16(v));
    ThreadPool pool(1);
    pack_weight(pool, {DType::kF32, reinterpret_cast<const std::byte*>(values.data())}, view, memory.data());
    view.data = memory.data();
  }
};

struct TableTest : testing::TestWithParam<const KernelTable*> {
  const KernelTable& table = *GetParam();
  const KernelTable& reference = kReferenceKernels;
};

inline std::string table_name(const testing::TestParamInfo<const KernelTable*>& info) { return info.param->name; }

// Lengths around every step that a loop could take.
inline const std::vector<int64_t> kLengths = {1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 255, 2048};

#define G3N_FOR_TABLES(suite) \
  INSTANTIATE_TEST_SUITE_P(Tables, suite, testing::ValuesIn(g3n::test::tables_under_test()), g3n::test::table_name)

}  // namespace g3n::test
