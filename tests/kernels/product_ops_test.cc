// matmul and gather_rows: against doubles, on several threads, a row alone and among others, and their errors.
#include "g3n/error.h"
#include "kernels/ops_cases.h"
#include "kernels/ops_internal.h"

namespace g3n::test {
namespace {

TEST(Matmul, IsTheSameOnAnyNumberOfThreads) {
  for (int64_t rows : {1, 2, 3, 5, 40, 300})
    for (int64_t outputs : {4, 64, 333})
      for (ComputeType compute : {ComputeType::kF32, ComputeType::kBF16}) {
        const int64_t cols = 520;
        const PackedWeight w(DType::kBF16, Layout::kPanels, outputs, cols, 1);
        const std::vector<float> x = normal(static_cast<size_t>(rows * cols), 2);
        const std::vector<float> out = same_on_all_threads(
            static_cast<size_t>(rows * outputs),
            [&](Context& ctx, std::vector<float>& o) {
              matmul(ctx, matrix(x, rows, cols), w.view, matrix(o, rows, outputs));
            },
            compute);
        for (int64_t i = 0; i < rows * outputs; i += 17) {
          double want = 0;
          for (int64_t k = 0; k < cols; ++k) {
            const float v = x[i / outputs * cols + k];
            want += double{compute == ComputeType::kBF16 ? bf16_to_f32(f32_to_bf16(v)) : v} *
                    weight_value(w.view, i % outputs, k);
          }
          ASSERT_NEAR(out[i], want, 2e-4) << rows << " rows, output " << i;
        }
      }
}

TEST(Matmul, QuantizedIsTheSameOnAnyNumberOfThreadsAndCloseToTheValues) {
  const int64_t cols = 520;
  for (DType dtype : {DType::kQ8_0, DType::kQ4_0})
    for (int64_t rows : {1, 2, 3, 5, 40, 300})
      for (int64_t outputs : {4, 64, 333}) {
        const PackedWeight w(dtype, Layout::kPanels, outputs, cols, 1);
        const std::vector<float> x = normal(static_cast<size_t>(rows * cols), 2);
        const std::vector<float> out = same_on_all_threads(
            static_cast<size_t>(rows * outputs),
            [&](Context& ctx, std::vector<float>& o) {
              matmul(ctx, matrix(x, rows, cols), w.view, matrix(o, rows, outputs));
            },
            ComputeType::kF32);
        for (int64_t i = 0; i < rows * outputs; i += 17) {
          double want = 0;
          for (int64_t k = 0; k < cols; ++k)
            want += double{x[i / outputs * cols + k]} * weight_value(w.view, i % outputs, k);
          ASSERT_NEAR(out[i], want, 1.0) << dtype_name(dtype) << ", " << rows << " rows, output "
                                         << i;  // sums of 520 have a deviation of 23; codes of x err by 0.2 % each
        }
      }
}

TEST(Matmul, PanelsOfFilesAreTheSameOnAnyNumberOfThreadsAndCloseToTheValues) {
  const int64_t cols = 512;
  for (DType dtype : kFileTypes)
    for (int64_t rows : {1, 2, 3, 4, 5, 40, 300})
      for (int64_t outputs : {4, 64, 333}) {
        const FileWeight w(dtype, outputs, cols, 1);
        const std::vector<float> x = normal(static_cast<size_t>(rows * cols), 2);
        const std::vector<float> out = same_on_all_threads(
            static_cast<size_t>(rows * outputs),
            [&](Context& ctx, std::vector<float>& o) {
              matmul(ctx, matrix(x, rows, cols), w.view, matrix(o, rows, outputs));
            },
            ComputeType::kF32);
        for (int64_t i = 0; i < rows * outputs; i += 17) {
          double want = 0, size = 0;
          for (int64_t k = 0; k < cols; ++k) {
            const double product =
                double{x[static_cast<size_t>(i / outputs * cols + k)]} * weight_value(w.view, i % outputs, k);
            want += product, size += std::fabs(product);
          }
          ASSERT_NEAR(out[static_cast<size_t>(i)], want, size * 0.005)  // codes of x err by 0.2 % of a block's largest
              << dtype_name(dtype) << ", " << rows << " rows, output " << i;
        }
      }
}

// What K formats want of the codes, also where blocks are zero or broken.
TEST(Matmul, SumsOfCodes) {
  const std::vector<float> x = normal(4 * 32, 12);
  std::vector<int8_t> codes(4 * 32);
  for (size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<int8_t>(i < 32 ? 127 : i < 64 ? -127 : x[i] * 40);
  const std::vector<float> scales = {0.3f, 0x1p-100f, 0.0f, NAN};
  std::vector<int32_t> half_starts(8);
  std::vector<float> minima(4);
  sum_codes(codes.data(), scales.data(), 4, half_starts.data(), minima.data());
  for (size_t b = 0; b < 4; ++b) {
    int sums[2] = {};
    for (size_t i = 0; i < 32; ++i) sums[i / 16] += codes[b * 32 + i];
    EXPECT_EQ(half_starts[2 * b], -32 * sums[0]);
    EXPECT_EQ(half_starts[2 * b + 1], -32 * sums[1]);
    if (b < 3)
      EXPECT_EQ(minima[b], -(scales[b] * static_cast<float>(sums[0] + sums[1])));
    else
      EXPECT_TRUE(std::isnan(minima[b]));
  }
}

// Panels of blocks beside others in one call: each as if alone.
TEST(Matmul, PanelsOfFilesGoTogetherWithOthers) {
  const int64_t rows = 5, cols = 256;
  const FileWeight a(DType::kQ6_K, 24, cols, 1), b(DType::kQ4_K, 40, cols, 2);
  const PackedWeight c(DType::kQ8_0, Layout::kPanels, 17, cols, 3), d(DType::kBF16, Layout::kPanels, 30, cols, 4);
  const WeightView* weights[] = {&a.view, &b.view, &c.view, &d.view};
  const std::vector<float> x = normal(rows * cols, 5);
  TestContext context(2, best_kernels(), ComputeType::kBF16);
  std::vector<std::vector<float>> out, alone;
  for (const WeightView* w : weights) {
    out.emplace_back(static_cast<size_t>(rows * w->rows), NAN);
    alone.push_back(out.back());
    matmul(context, matrix(x, rows, cols), *w, matrix(alone.back(), rows, w->rows));
  }
  matmul(context, matrix(x, rows, cols),
         {{a.view, matrix(out[0], rows, 24)},
          {b.view, matrix(out[1], rows, 40)},
          {c.view, matrix(out[2], rows, 17)},
          {d.view, matrix(out[3], rows, 30)}});
  for (size_t i = 0; i < 4; ++i) EXPECT_THAT(out[i], SameBits(alone[i])) << i;
  WeightView broken = a.view;
  broken.cols = 64;
  EXPECT_THROW(matmul(context, matrix(x, rows, 64), broken, matrix(out[0], rows, 24)), Error);
  broken = a.view, broken.layout = Layout::kRows;
  EXPECT_THROW(matmul(context, matrix(x, rows, cols), broken, matrix(out[0], rows, 24)), Error);
}

TEST(Matmul, ARowIsTheSameAloneAndAmongOthers) {
  const int64_t cols = 600, outputs = 200;
  for (DType dtype : {DType::kF32, DType::kBF16, DType::kQ8_0, DType::kQ4_0})
    for (ComputeType compute : {ComputeType::kF32, ComputeType::kBF16}) {
      const PackedWeight w(dtype, Layout::kPanels, outputs, cols, 3);
      const std::vector<float> x = normal(512 * cols, 4);
      TestContext context(2, best_kernels(), compute);
      std::vector<float> all(512 * outputs);
      matmul(context, matrix(x, 512, cols), w.view, matrix(all, 512, outputs));
      for (int64_t rows : {1, 5, 16}) {
        std::vector<float> out(static_cast<size_t>(rows * outputs));
        matmul(context, matrix(x, rows, cols), w.view, matrix(out, rows, outputs));
        EXPECT_THAT(out, SameBits(std::vector<float>(all.begin(), all.begin() + rows * outputs))) << rows << " rows";
      }
    }
}

TEST(Matmul, SeveralProductsEqualSingleOnes) {
  const int64_t rows = 7, cols = 130;
  const PackedWeight a(DType::kBF16, Layout::kPanels, 48, cols, 5), b(DType::kF32, Layout::kPanels, 20, cols, 6),
      c(DType::kQ4_0, Layout::kPanels, 30, cols, 6);
  const std::vector<float> x = normal(rows * cols, 7);
  for (ComputeType compute : {ComputeType::kF32, ComputeType::kBF16}) {
    TestContext context(2, best_kernels(), compute);
    std::vector<float> a1(rows * 48), b1(rows * 20), c1(rows * 30), a2 = a1, b2 = b1, c2 = c1;
    matmul(context, matrix(x, rows, cols),
           {{a.view, matrix(a1, rows, 48)}, {b.view, matrix(b1, rows, 20)}, {c.view, matrix(c1, rows, 30)}});
    matmul(context, matrix(x, rows, cols), c.view, matrix(c2, rows, 30));
    EXPECT_THAT(c1, SameBits(c2));
    matmul(context, matrix(x, rows, cols), a.view, matrix(a2, rows, 48));
    matmul(context, matrix(x, rows, cols), b.view, matrix(b2, rows, 20));
    EXPECT_THAT(a1, SameBits(a2));
    EXPECT_THAT(b1, SameBits(b2));
  }
}

// A table with bf16 dot products gets x in bf16 memory; within rounding it is the same as f32 products of rounded
// values.
TEST(Matmul, BF16DotProductsAreProductsOfRoundedValues) {
  const int64_t rows = 9, cols = 75, outputs = 40;
  ASSERT_TRUE(kReferenceKernels.bf16_dot);
  const PackedWeight w(DType::kBF16, Layout::kPanels, outputs, cols, 14);
  const std::vector<float> x = normal(rows * cols, 15);
  TestContext pairs(2, kReferenceKernels, ComputeType::kBF16), singles(2, kReferenceKernels);
  std::vector<float> rounded(x.size()), got(rows * outputs), want(rows * outputs);
  kReferenceKernels.round_bf16(x.data(), rounded.data(), rows * cols);
  matmul(pairs, matrix(x, rows, cols), w.view, matrix(got, rows, outputs));
  matmul(singles, matrix(rounded, rows, cols), w.view, matrix(want, rows, outputs));
  EXPECT_THAT(got, AllNear(want, Tolerance{.rel = 1e-5f, .abs = 1e-5f}));

  const ConvShape shape{3, 3, 1, 1, 1, 1, 5, 5};  // conv2d gathers into bf16 memory, too
  const PackedWeight filter(DType::kBF16, Layout::kPanels, 20, 27, 16);
  const std::vector<float> map(rounded.begin(), rounded.begin() + 75);
  std::vector<float> a(25 * 20), b = a;
  conv2d(pairs, cube(map, 5, 5, 3), shape, filter.view, matrix(a, 25, 20));
  conv2d(singles, cube(map, 5, 5, 3), shape, filter.view, matrix(b, 25, 20));
  EXPECT_THAT(a, AllNear(b, Tolerance{.rel = 1e-5f, .abs = 1e-5f}));
}

TEST(Matmul, KeepsF32WhereItIsAskedTo) {
  const int64_t rows = 3, cols = 64, outputs = 16;
  const PackedWeight w(DType::kBF16, Layout::kPanels, outputs, cols, 8);
  const std::vector<float> x = normal(rows * cols, 9);
  TestContext bf16(1, best_kernels(), ComputeType::kBF16), f32(1);
  std::vector<float> a(rows * outputs), b = a, c = a;
  matmul_f32(bf16, matrix(x, rows, cols), w.view, matrix(a, rows, outputs));
  matmul(f32, matrix(x, rows, cols), w.view, matrix(b, rows, outputs));
  matmul(bf16, matrix(x, rows, cols), w.view, matrix(c, rows, outputs));
  EXPECT_THAT(a, SameBits(b));
  EXPECT_NE(a, c);
}

// A weight without outputs leaves the other products as they are.
TEST(Matmul, AWeightWithoutOutputsIsNoWork) {
  const std::vector<float> x = normal(3 * 64, 1);
  for (DType dtype : {DType::kF32, DType::kBF16, DType::kQ8_0, DType::kQ4_0}) {
    const PackedWeight w(dtype, Layout::kPanels, 20, 64, 2);
    WeightView none = w.view;
    none.rows = 0;
    for (int threads : {1, 2}) {
      TestContext context(threads);
      std::vector<float> nothing, got(3 * 20), want(3 * 20);
      matmul(context, matrix(x, 3, 64), none, matrix(nothing, 3, 0));
      matmul(context, matrix(x, 3, 64), {{none, matrix(nothing, 3, 0)}, {w.view, matrix(got, 3, 20)}});
      matmul(context, matrix(x, 3, 64), w.view, matrix(want, 3, 20));
      EXPECT_THAT(got, SameBits(want)) << dtype_name(dtype);
    }
  }
}

TEST(Matmul, ErrorsNameWhatWasWanted) {
  const PackedWeight panels(DType::kF32, Layout::kPanels, 16, 32, 1), rows(DType::kF32, Layout::kRows, 16, 32, 1);
  std::vector<float> x(32), out(16), short_out(15);
  TestContext context(1);
  EXPECT_THROW(matmul(context, matrix(x, 1, 32), rows.view, matrix(out, 1, 16)), Error);
  EXPECT_THROW(matmul(context, matrix(x, 1, 32), WeightView{}, matrix(out, 1, 16)), Error);
  EXPECT_THROW(matmul(context, matrix(x, 1, 31), panels.view, matrix(out, 1, 16)), Error);
  EXPECT_THROW(matmul(context, matrix(x, 1, 32), panels.view, matrix(short_out, 1, 15)), Error);
}

TEST(GatherRows, ReadsEveryType) {
  const std::vector<float> values = normal(50, 6);
  std::vector<bf16_t> bf16(50);
  for (size_t i = 0; i < 50; ++i) bf16[i] = f32_to_bf16(values[i]);
  const std::vector<uint16_t> f16 = {0x3c00, 0x4000, 0xc200, 0x0001};  // 1, 2, -3, 2^-24
  TestContext context(2);
  std::vector<float> out(6);
  const int32_t ids[] = {4, 0};
  gather_rows(context, {DType::kF32, 5, 10, reinterpret_cast<const std::byte*>(values.data())}, ids, 3, 2.0f,
              matrix(out, 2, 3));
  EXPECT_THAT(out, ::testing::ElementsAre(values[43] * 2, values[44] * 2, values[45] * 2, values[3] * 2, values[4] * 2,
                                          values[5] * 2));
  gather_rows(context, {DType::kBF16, 5, 10, reinterpret_cast<const std::byte*>(bf16.data())}, ids, 3, 1.0f,
              matrix(out, 2, 3));
  EXPECT_EQ(out[5], bf16_to_f32(bf16[5]));
  std::vector<float> halves(4);
  const int32_t zero[] = {0};
  gather_rows(context, {DType::kF16, 1, 4, reinterpret_cast<const std::byte*>(f16.data())}, zero, 0, 1.0f,
              matrix(halves, 1, 4));
  EXPECT_THAT(halves, ::testing::ElementsAre(1.0f, 2.0f, -3.0f, 0x1p-24f));
  const int32_t beyond[] = {5};
  EXPECT_THROW(gather_rows(context, {DType::kF32, 5, 10, reinterpret_cast<const std::byte*>(values.data())}, beyond, 0,
                           1.0f, matrix(out, 1, 3)),
               Error);
}

// Any columns of rows in q8 blocks; and plain rows seen through q8, which are the same bits.
TEST(GatherRows, Q8BlocksAndWhatTheyWereMadeOf) {
  const int64_t rows = 9, cols = 96;
  std::vector<float> values = normal(rows * cols, 5);
  std::vector<bf16_t> bf16(values.size());
  for (size_t i = 0; i < values.size(); ++i) bf16[i] = f32_to_bf16(values[i]), values[i] = bf16_to_f32(bf16[i]);
  TestContext context(2);
  std::vector<std::byte> blocks(static_cast<size_t>(dtype_bytes(DType::kQ8_0, rows * cols)));
  pack_table(context.pool, {DType::kBF16, reinterpret_cast<const std::byte*>(bf16.data())}, rows, cols, DType::kQ8_0,
             blocks.data());
  const int32_t ids[] = {8, 0, 3};
  for (const auto& [first, count] :
       {std::pair<int64_t, int64_t>{0, 96}, {32, 32}, {31, 2}, {5, 7}, {40, 56}, {95, 1}}) {
    std::vector<float> want(static_cast<size_t>(3 * count)), got = want, through = want, through_f32 = want;
    for (int64_t i = 0; i < 3 * count; ++i) {
      const int64_t col = first + i % count;
      const std::byte* block = &blocks[static_cast<size_t>((ids[i / count] * cols + col) / 32 * 34)];
      uint16_t scale;
      std::memcpy(&scale, block, 2);
      want[i] = f16_to_f32(scale) * static_cast<float>(static_cast<int8_t>(block[2 + col % 32])) * 3.5f;
      EXPECT_NEAR(want[i], values[ids[i / count] * cols + col] * 3.5f, 0.06f);
    }
    gather_rows(context, {DType::kQ8_0, rows, cols, blocks.data()}, ids, first, 3.5f, matrix(got, 3, count));
    gather_rows(context, {DType::kBF16, rows, cols, reinterpret_cast<const std::byte*>(bf16.data()), DType::kQ8_0}, ids,
                first, 3.5f, matrix(through, 3, count));
    gather_rows(context, {DType::kF32, rows, cols, reinterpret_cast<const std::byte*>(values.data()), DType::kQ8_0},
                ids, first, 3.5f, matrix(through_f32, 3, count));
    EXPECT_EQ(got, want);
    EXPECT_EQ(through, want);
    EXPECT_EQ(through_f32, want);
  }
  values[3 * cols + 40] = INFINITY;
  std::vector<float> bad(96);
  const int32_t third[] = {3};
  gather_rows(context, {DType::kF32, rows, cols, reinterpret_cast<const std::byte*>(values.data()), DType::kQ8_0},
              third, 0, 1.0f, matrix(bad, 1, 96));
  for (int64_t i = 0; i < 96; ++i) EXPECT_EQ(std::isnan(bad[i]), i / 32 == 1) << i;
  EXPECT_THROW(gather_rows(context, {DType::kQ8_0, rows, 90, blocks.data()}, third, 0, 1.0f, matrix(bad, 1, 90)),
               Error);
}

}  // namespace
}  // namespace g3n::test
