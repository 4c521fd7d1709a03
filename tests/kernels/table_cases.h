// What the tests of raw kernels share: the tables under test (native, or emulated in a binary of its own) and packed
// weights.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/thread_pool.h"
#include "core/rng.h"
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

// Types that come from files only: panels, neurons, and rows as blocks.
constexpr DType kFileTypes[] = {DType::kQ4_1, DType::kQ5_0, DType::kQ5_1,   DType::kQ4_K,
                                DType::kQ5_K, DType::kQ6_K, DType::kIQ4_NL, DType::kIQ4_XS};

// Blocks as a file has them: codes and sub-scales any bits; scales ordinary, denormal or zero, of either sign.
inline std::vector<std::byte> random_blocks(DType dtype, int64_t blocks, uint64_t seed) {
  const int64_t size = dtype_bytes(dtype);
  std::vector<std::byte> bytes(static_cast<size_t>(blocks * size));
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(mix64(seed << 32 | i));
  const auto put_scale = [&](int64_t at, uint64_t random) {
    const uint64_t kind = random >> 20 & 15;
    const uint16_t exponent = kind < 2 ? 0 : static_cast<uint16_t>(8 + kind / 2);
    const uint16_t bits =
        kind == 0 ? static_cast<uint16_t>(random & 0x8000) : static_cast<uint16_t>((random & 0x83ff) | exponent << 10);
    std::memcpy(&bytes[static_cast<size_t>(at)], &bits, 2);
  };
  for (int64_t b = 0; b < blocks; ++b) {
    const uint64_t random = mix64(seed * 77 + static_cast<uint64_t>(b));
    put_scale(b * size + (dtype == DType::kQ6_K ? 208 : 0), random);
    if (dtype == DType::kQ4_1 || dtype == DType::kQ5_1 || dtype == DType::kQ4_K || dtype == DType::kQ5_K)
      put_scale(b * size + 2, random >> 24);
  }
  return bytes;
}

// Such a weight in panels, neurons or blocks, touching a guard page, and the blocks it was made from.
struct FileWeight {
  std::vector<std::byte> blocks;
  Guarded<std::byte> memory;
  WeightView view;
  FileWeight(DType dtype, std::vector<std::byte> from, int64_t rows, int64_t cols, Layout layout = Layout::kPanels)
      : blocks(std::move(from)),
        memory(static_cast<size_t>(packed_bytes(dtype, layout, rows, cols))),
        view{dtype, layout, rows, cols, packed_step_bytes(dtype, layout, rows, cols), memory.data()} {
    if (layout == Layout::kBlocks) {
      std::memcpy(memory.data(), blocks.data(), memory.size());
      return;
    }
    std::memset(memory.data(), 0xff, memory.size());
    ThreadPool pool(1);
    pack_weight(pool, {dtype, blocks.data()}, view, memory.data());
  }
  FileWeight(DType dtype, int64_t rows, int64_t cols, uint64_t seed, Layout layout = Layout::kPanels)
      : FileWeight(dtype, random_blocks(dtype, rows * cols / dtype_facts(dtype).block_values, seed), rows, cols,
                   layout) {}
};

// `up` or `down` of a sparse feed-forward in a layout that the type has.
struct SparseWeight {
  std::unique_ptr<PackedWeight> packed;
  std::unique_ptr<FileWeight> file;
  WeightView view;
  SparseWeight(DType dtype, Layout layout, int64_t rows, int64_t cols, uint32_t seed) {
    if (is_file_type(dtype)) {
      file = std::make_unique<FileWeight>(dtype, rows, cols, seed, layout == Layout::kRows ? Layout::kBlocks : layout);
      view = file->view;
    } else {
      packed = std::make_unique<PackedWeight>(dtype, layout, rows, cols, seed);
      view = packed->view;
    }
  }
};

struct TableTest : ::testing::TestWithParam<const KernelTable*> {
  const KernelTable& table = *GetParam();
  const KernelTable& reference = kReferenceKernels;
};

inline std::string table_name(const ::testing::TestParamInfo<const KernelTable*>& info) { return info.param->name; }

// Lengths around every step that a loop could take.
inline const std::vector<int64_t> kLengths = {1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 255, 2048};

// A table's kernels from one to another, both with all that stand between them, as bytes to compare.
template <typename First, typename Last>
std::string kernels_between(const KernelTable& table, First KernelTable::*first, Last KernelTable::*last) {
  return {reinterpret_cast<const char*>(&(table.*first)), reinterpret_cast<const char*>(&(table.*last) + 1)};
}

template <typename... Kernels>
std::string bytes_of(Kernels*... kernels) {
  std::string bytes;
  (bytes.append(reinterpret_cast<const char*>(&kernels), sizeof kernels), ...);
  return bytes;
}

// The tables under test without those in which each kernel that a suite runs is another one's, as in those that are
// laid over others.
inline std::vector<const KernelTable*> tables_with_own(std::string (*kernels_of)(const KernelTable&)) {
  std::vector<const KernelTable*> tables;
  for (const KernelTable* table : tables_under_test())
    if (std::none_of(tables.begin(), tables.end(),
                     [&](const KernelTable* other) { return kernels_of(*other) == kernels_of(*table); }))
      tables.push_back(table);
  return tables;
}

// suite::kernels_of gives what its tests run of a table.
#define G3N_FOR_TABLES(suite)                                                                                  \
  INSTANTIATE_TEST_SUITE_P(Tables, suite, ::testing::ValuesIn(g3n::test::tables_with_own(&suite::kernels_of)), \
                           g3n::test::table_name)

}  // namespace g3n::test
