// Products with weights in the blocks of a file: the bits of the same values packed as f32 panels.
#include "g3n/error.h"
#include "kernels/ops_cases.h"
#include "kernels/quant/gguf_blocks.h"

namespace g3n::test {
namespace {

// Blocks of any bytes whose scales are finite, and their values as f32 panels.
struct BlockWeight {
  std::vector<std::byte> bytes;
  std::vector<float> values;
  Guarded<std::byte> panels;
  WeightView in_blocks, packed;

  BlockWeight(DType type, int64_t rows, int64_t cols)
      : bytes(static_cast<size_t>(packed_bytes(type, Layout::kBlocks, rows, cols))),
        values(static_cast<size_t>(rows * cols)),
        panels(static_cast<size_t>(packed_bytes(DType::kF32, Layout::kPanels, rows, cols))),
        in_blocks{type,        Layout::kBlocks, rows, cols, packed_step_bytes(type, Layout::kBlocks, rows, cols),
                  bytes.data()},
        packed{DType::kF32, Layout::kPanels, rows, cols, packed_step_bytes(DType::kF32, Layout::kPanels, rows, cols),
               nullptr} {
    uint32_t state = 5;
    for (std::byte& b : bytes) state = state * 1664525u + 1013904223u, b = static_cast<std::byte>(state >> 24 & 0xbb);
    quant::decode_row(type, bytes.data(), rows * cols, values.data());
    ThreadPool pool(1);
    pack_weight(pool, {DType::kF32, reinterpret_cast<const std::byte*>(values.data())}, packed, panels.data());
    packed.data = panels.data();
  }
};

TEST(BlockOps, GiveTheBitsOfF32Panels) {
  struct Case {
    DType type;
    int64_t outputs, cols;
  };
  for (const Case& c : {Case{DType::kQ4_K, 70, 512},
                        {DType::kQ6_K, 16, 256},
                        {DType::kQ5_0, 33, 96},
                        {DType::kQ8_0, 5, 2080},
                        {DType::kQ1_0, 100, 384},
                        {DType::kF16, 17, 301}}) {
    const BlockWeight w(c.type, c.outputs, c.cols);
    for (int64_t rows : {1, 3, 40})
      for (ComputeType compute : {ComputeType::kF32, ComputeType::kBF16}) {
        const std::vector<float> x = normal(static_cast<size_t>(rows * c.cols), 3);
        const auto product = [&](const WeightView& weight) {
          return same_on_all_threads(
              static_cast<size_t>(rows * c.outputs),
              [&](Context& ctx, std::vector<float>& out) {
                matmul(ctx, matrix(x, rows, c.cols), weight, matrix(out, rows, c.outputs));
              },
              compute);
        };
        EXPECT_THAT(product(w.in_blocks), SameBits(product(w.packed))) << dtype_name(c.type) << ", " << rows << " rows";
      }
  }
}

// Beside q8 panels in one call: each as if alone.
TEST(BlockOps, GoTogetherWithPanels) {
  const int64_t rows = 5, cols = 256;
  const BlockWeight blocks(DType::kQ8_0, 40, cols);
  const PackedWeight q8(DType::kQ8_0, Layout::kPanels, 24, cols, 2);
  const std::vector<float> x = normal(rows * cols, 4);
  TestContext context(2, best_kernels(), ComputeType::kBF16);
  std::vector<float> a(rows * 40), b(rows * 24), alone_a = a, alone_b = b;
  matmul(context, matrix(x, rows, cols), {{blocks.in_blocks, matrix(a, rows, 40)}, {q8.view, matrix(b, rows, 24)}});
  matmul(context, matrix(x, rows, cols), blocks.packed, matrix(alone_a, rows, 40));
  matmul(context, matrix(x, rows, cols), q8.view, matrix(alone_b, rows, 24));
  EXPECT_THAT(a, SameBits(alone_a));
  EXPECT_THAT(b, SameBits(alone_b));
}

TEST(BlockOps, ErrorsAreThrownBeforeThreadsStart) {
  const BlockWeight w(DType::kQ4_0, 16, 64);
  std::vector<float> x(64), out(16);
  TestContext context(2);
  WeightView wrong = w.in_blocks;
  wrong.dtype = DType::kI8;
  EXPECT_THROW(matmul(context, matrix(x, 1, 64), wrong, matrix(out, 1, 16)), Error);
  wrong = w.in_blocks, wrong.cols = 40;
  EXPECT_THROW(matmul(context, matrix(x, 1, 40), wrong, matrix(out, 1, 16)), Error);
}

}  // namespace
}  // namespace g3n::test
