// rows_of, inputs_of: products with a part of a weight have the bits of the whole weight's, in every layout and format;
// cuts that cannot be exact are refused.
#include "g3n/error.h"
#include "kernels/ops_cases.h"
#include "kernels/quant/gguf_blocks.h"

namespace g3n::test {
namespace {

constexpr DType kPartTypes[] = {DType::kF32, DType::kBF16, DType::kQ8_0, DType::kQ4_0};
constexpr int64_t kInputRows = 5;  // of x

struct Range {
  int64_t first, count;
};

std::vector<float> columns_of(const std::vector<float>& x, int64_t cols, const Range& range) {
  std::vector<float> out;
  for (int64_t r = 0; r < kInputRows; ++r)
    out.insert(out.end(), x.begin() + r * cols + range.first, x.begin() + r * cols + range.first + range.count);
  return out;
}
std::vector<float> zero_outside(std::vector<float> x, int64_t cols, const Range& range) {
  for (size_t i = 0; i < x.size(); ++i) {
    const int64_t col = static_cast<int64_t>(i) % cols;
    if (col < range.first || col >= range.first + range.count) x[i] = 0;
  }
  return x;
}

std::vector<float> product(const WeightView& weight, const std::vector<float>& x, ComputeType compute) {
  return same_on_all_threads(
      static_cast<size_t>(kInputRows * weight.rows),
      [&](Context& ctx, std::vector<float>& out) {
        matmul(ctx, matrix(x, kInputRows, weight.cols), weight, matrix(out, kInputRows, weight.rows));
      },
      compute);
}

// For matmul: panels and blocks.
void expect_exact_parts(const WeightView& whole, const std::vector<Range>& rows, const std::vector<Range>& inputs) {
  const std::vector<float> x = normal(static_cast<size_t>(kInputRows * whole.cols), 3);
  for (ComputeType compute : {ComputeType::kF32, ComputeType::kBF16}) {
    const std::vector<float> all = product(whole, x, compute);
    for (const Range& r : rows) {
      const WeightView part = rows_of(whole, r.first, r.count);
      ASSERT_EQ(part.rows, r.count);
      EXPECT_THAT(product(part, x, compute), SameBits(columns_of(all, whole.rows, r)))
          << dtype_name(whole.dtype) << ", outputs from " << r.first << ", " << r.count;
    }
    for (const Range& r : inputs) {
      const WeightView part = inputs_of(whole, r.first, r.count);
      ASSERT_EQ(part.cols, r.count);
      EXPECT_THAT(product(part, columns_of(x, whole.cols, r), compute),
                  SameBits(product(whole, zero_outside(x, whole.cols, r), compute)))
          << dtype_name(whole.dtype) << ", inputs from " << r.first << ", " << r.count;
    }
  }
}

TEST(WeightParts, OfPanels) {
  for (const DType dtype : kPartTypes) {
    const int64_t cut = is_quantized(dtype) ? 64 : 32;
    for (const int64_t cols : {192, 165}) {
      const PackedWeight whole(dtype, Layout::kPanels, 70, cols, 1);
      EXPECT_EQ(row_cut(whole.view), 16);
      EXPECT_EQ(input_cut(whole.view), cut);
      expect_exact_parts(whole.view, {{0, 70}, {0, 16}, {0, 5}, {16, 54}, {32, 17}, {64, 6}},
                         {{0, cols}, {0, 64}, {64, 64}, {128, cols - 128}, {cut, cols - cut}});
    }
  }
}

TEST(WeightParts, OfBlocks) {
  for (const DType dtype : {DType::kQ4_K, DType::kQ6_K, DType::kQ5_1, DType::kQ1_0, DType::kIQ4_NL}) {
    const int64_t rows = 37, cols = 1024;
    std::vector<std::byte> bytes(static_cast<size_t>(packed_bytes(dtype, Layout::kBlocks, rows, cols)));
    uint32_t state = 5;
    for (std::byte& b : bytes) state = state * 1664525u + 1013904223u, b = static_cast<std::byte>(state >> 24 & 0xbb);
    const WeightView whole{
        dtype, Layout::kBlocks, rows, cols, packed_step_bytes(dtype, Layout::kBlocks, rows, cols), bytes.data()};
    EXPECT_EQ(row_cut(whole), 1);
    EXPECT_EQ(input_cut(whole), dtype_facts(dtype).block_values);
    expect_exact_parts(whole, {{0, rows}, {0, 1}, {1, 36}, {7, 19}, {36, 1}},
                       {{0, cols}, {0, 256}, {256, 512}, {768, 256}});
  }
}

struct Sparse {
  WeightView up, down;
};
std::vector<float> feed_forward(const Sparse& weights, const std::vector<float>& x, const std::vector<float>& gate) {
  return same_on_all_threads(
      static_cast<size_t>(kInputRows * weights.down.rows), [&](Context& ctx, std::vector<float>& out) {
        sparse_feed_forward(ctx, matrix(x, kInputRows, weights.up.cols), matrix(gate, kInputRows, weights.up.rows),
                            weights.up, weights.down, matrix(out, kInputRows, weights.down.rows));
      });
}

// Some of the neurons: outputs of `up`, inputs of `down`, as a MatFormer slice takes them.
TEST(WeightParts, OfRowsAndNeurons) {
  constexpr int64_t kHidden = 100, kFfn = 300;
  for (const DType up_type : kPartTypes)
    for (const DType down_type : kPartTypes) {
      const PackedWeight up(up_type, Layout::kRows, kFfn, kHidden, 1),
          down(down_type, Layout::kNeurons, kHidden, kFfn, 2);
      EXPECT_EQ(row_cut(up.view), 1);
      EXPECT_EQ(input_cut(down.view), 32);
      const std::vector<float> x = normal(kInputRows * kHidden, 3);
      std::vector<float> gate = normal(kInputRows * kFfn, 4);
      for (size_t i = 0; i < gate.size(); i += 3) gate[i] = 0;
      for (const Range& r : {Range{0, kFfn}, {0, 32}, {0, 256}, {32, 96}, {160, 140}, {288, 12}})
        EXPECT_THAT(feed_forward({rows_of(up.view, r.first, r.count), inputs_of(down.view, r.first, r.count)}, x,
                                 columns_of(gate, kFfn, r)),
                    SameBits(feed_forward({up.view, down.view}, x, zero_outside(gate, kFfn, r))))
            << dtype_name(up_type) << ", " << dtype_name(down_type) << ", neurons from " << r.first;
    }
}

TEST(WeightParts, OfBlocksAndNeuronsOfFiles) {
  constexpr int64_t kHidden = 256, kFfn = 768;
  for (const DType dtype : kFileTypes) {
    const SparseWeight up(dtype, Layout::kRows, kFfn, kHidden, 1), down(dtype, Layout::kNeurons, kHidden, kFfn, 2);
    EXPECT_EQ(row_cut(up.view), 1);
    EXPECT_EQ(row_cut(down.view), 0);
    EXPECT_EQ(input_cut(down.view), dtype_facts(dtype).block_values);
    const std::vector<float> x = normal(kInputRows * kHidden, 3);
    std::vector<float> gate = normal(kInputRows * kFfn, 4);
    for (size_t i = 0; i < gate.size(); i += 3) gate[i] = 0;
    for (const Range& r : {Range{0, kFfn}, {0, 256}, {256, 512}, {512, 256}})
      EXPECT_THAT(feed_forward({rows_of(up.view, r.first, r.count), inputs_of(down.view, r.first, r.count)}, x,
                               columns_of(gate, kFfn, r)),
                  SameBits(feed_forward({up.view, down.view}, x, zero_outside(gate, kFfn, r))))
          << dtype_name(dtype) << ", neurons from " << r.first;
  }
}

// The other way round: inputs of rows, outputs of neurons.
TEST(WeightParts, OfRowsAndNeuronsAcross) {
  constexpr int64_t kHidden = 100, kFfn = 64;
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    const PackedWeight up(dtype, Layout::kRows, kFfn, kHidden, 1), down(dtype, Layout::kNeurons, kHidden, kFfn, 2);
    EXPECT_EQ(input_cut(up.view), 32);
    EXPECT_EQ(row_cut(down.view), 32);
    const std::vector<float> x = normal(kInputRows * kHidden, 3), gate = normal(kInputRows * kFfn, 4);
    const std::vector<float> all = feed_forward({up.view, down.view}, x, gate);
    for (const Range& r : {Range{0, 64}, {32, 32}, {64, 36}})
      EXPECT_THAT(feed_forward({inputs_of(up.view, r.first, r.count), down.view}, columns_of(x, kHidden, r), gate),
                  SameBits(feed_forward({up.view, down.view}, zero_outside(x, kHidden, r), gate)));
    for (const Range& r : {Range{0, 64}, {0, 9}, {32, 33}, {64, 36}})
      EXPECT_THAT(feed_forward({up.view, rows_of(down.view, r.first, r.count)}, x, gate),
                  SameBits(columns_of(all, kHidden, r)));
  }
}

template <typename F>
std::string refusal(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInternal);
    return error.what();
  }
  return "no error";
}

TEST(WeightParts, CutsThatAreNotExactAreRefused) {
  const WeightView panels{DType::kF32, Layout::kPanels, 70, 165, 0, nullptr};
  EXPECT_EQ(refusal([&] { rows_of(panels, 8, 16); }),
            "a weight of F32 in panels: expected outputs at multiples of 16 within 70, got 16 from 8 on");
  EXPECT_EQ(refusal([&] { inputs_of(panels, 0, 40); }),
            "a weight of F32 in panels: expected inputs at multiples of 32 within 165, got 40 from 0 on");
  for (const Range& r : {Range{0, 71}, {-16, 16}, {64, 7}, {0, -1}, {0, 0}, {80, 16}, {16, INT64_MAX}}) {
    EXPECT_NE(refusal([&] { rows_of(panels, r.first, r.count); }), "no error") << r.first;
  }
  for (const Range& r : {Range{0, 166}, {-32, 32}, {8, 8}, {160, 6}, {32, 0}, {32, INT64_MAX}})
    EXPECT_NE(refusal([&] { inputs_of(panels, r.first, r.count); }), "no error") << r.first;
  for (const DType dtype : {DType::kQ8_0, DType::kQ4_0}) {
    const WeightView rows{dtype, Layout::kRows, 70, 256, 0, nullptr},
        neurons{dtype, Layout::kNeurons, 256, 70, 0, nullptr};
    EXPECT_NE(refusal([&] { inputs_of(rows, 0, 64); }).find("expected inputs whole within 256"), std::string::npos);
    EXPECT_NE(refusal([&] { rows_of(neurons, 0, 128); }).find("expected outputs whole within 256"), std::string::npos);
    EXPECT_EQ(inputs_of(rows, 0, 256).cols, 256);
    EXPECT_EQ(rows_of(neurons, 0, 256).rows, 256);
  }
  const WeightView blocks{DType::kQ4_K, Layout::kBlocks, 70, 512, 288, nullptr};
  EXPECT_NE(refusal([&] { inputs_of(blocks, 32, 256); }), "no error");
}

}  // namespace
}  // namespace g3n::test
