// Packing: every value in its place and zeros in the padding, for every source type, layout and odd shape; sources
// without alignment.
#include "kernels/pack.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <vector>

#include "core/arena.h"
#include "g3n/error.h"

namespace g3n::testing {
namespace {

// Values that f32, bf16 and f16 hold exactly.
float value_at(int64_t row, int64_t col) { return static_cast<float>((row * 37 + col * 11) % 255 - 127) / 8; }

uint16_t f16_bits(float value) {
  static const std::map<float, uint16_t> all = [] {
    std::map<float, uint16_t> map;
    for (uint32_t bits = 0; bits < 0x7c00; ++bits)  // zero and all positive finite ones
      for (const uint32_t sign : {0u, 0x8000u})
        map.emplace(f16_to_f32(static_cast<uint16_t>(bits | sign)), static_cast<uint16_t>(bits | sign));
    return map;
  }();
  return all.at(value);
}

std::vector<std::byte> source_of(DType dtype, int64_t rows, int64_t cols, size_t shift) {
  std::vector<std::byte> bytes(static_cast<size_t>(rows * cols * dtype_bytes(dtype)) + shift);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < cols; ++c) {
      const float value = value_at(r, c);
      std::byte* at = bytes.data() + shift + (r * cols + c) * dtype_bytes(dtype);
      const uint16_t half = dtype == DType::kBF16 ? f32_to_bf16(value) : dtype == DType::kF16 ? f16_bits(value) : 0;
      if (dtype == DType::kF32)
        std::memcpy(at, &value, 4);
      else
        std::memcpy(at, &half, 2);
    }
  return bytes;
}

struct Case {
  DType from, to;
  Layout layout;
  int64_t rows, cols;
};

void expect_packed(const Case& c, size_t shift) {
  const std::vector<std::byte> source = source_of(c.from, c.rows, c.cols, shift);
  const int64_t bytes = packed_bytes(c.to, c.layout, c.rows, c.cols);
  Buffer<std::byte> out(bytes);
  std::memset(out.data(), 0xff, static_cast<size_t>(bytes));
  WeightView view{.dtype = c.to,
                  .layout = c.layout,
                  .rows = c.rows,
                  .cols = c.cols,
                  .step_bytes = packed_step_bytes(c.to, c.layout, c.rows, c.cols),
                  .data = out.data()};
  ThreadPool pool(2);
  pack_weight(pool, {c.from, source.data() + shift}, view, out.data());
  int64_t wrong = 0, nonzero = 0;
  for (int64_t r = 0; r < c.rows; ++r)
    for (int64_t k = 0; k < c.cols; ++k) {
      wrong += weight_value(view, r, k) != value_at(r, k);
      nonzero += value_at(r, k) != 0;
    }
  EXPECT_EQ(wrong, 0);
  for (int64_t i = 0; i < bytes / dtype_bytes(c.to);
       ++i) {  // as many values that are not zero as there should be: the padding is zero
    uint32_t bits = 0;
    std::memcpy(&bits, out.data() + i * dtype_bytes(c.to), static_cast<size_t>(dtype_bytes(c.to)));
    nonzero -= bits != 0;
  }
  EXPECT_EQ(nonzero, 0) << "values that are not zero: missing, or in the padding";
}

TEST(Pack, EveryTypeLayoutAndShape) {
  for (const DType from : {DType::kF32, DType::kBF16, DType::kF16})
    for (const DType to : {DType::kF32, DType::kBF16})
      for (const Layout layout : {Layout::kPanels, Layout::kRows, Layout::kNeurons})
        for (const int64_t rows : {1, 15, 16, 33, 130})
          for (const int64_t cols : {1, 2, 31, 32, 65, 129, 200}) {
            SCOPED_TRACE(std::string(dtype_name(from)) + " to " + dtype_name(to) + ", layout " +
                         std::to_string(static_cast<int>(layout)) + ", " + std::to_string(rows) + " x " +
                         std::to_string(cols));
            expect_packed({from, to, layout, rows, cols}, 0);
            if (cols == 65) expect_packed({from, to, layout, rows, cols}, 1);
          }
}

TEST(Pack, LossIsRefused) {
  const float value = 1.0f + 1.0f / 4096;
  Buffer<std::byte> out(packed_bytes(DType::kBF16, Layout::kPanels, 1, 1));
  const WeightView view{.dtype = DType::kBF16,
                        .rows = 1,
                        .cols = 1,
                        .step_bytes = packed_step_bytes(DType::kBF16, Layout::kPanels, 1, 1),
                        .data = out.data()};
  ThreadPool pool(1);
  EXPECT_THROW(pack_weight(pool, {DType::kF32, reinterpret_cast<const std::byte*>(&value)}, view, out.data()), Error);
}

}  // namespace
}  // namespace g3n::testing
