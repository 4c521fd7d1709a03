// Dense and sparse products of every table against the reference, bit for bit; the reference against doubles.
#include "kernels/table_cases.h"

namespace g3n::test {
namespace {

struct Product : TableTest {
  static std::string kernels_of(const KernelTable& t) {
    return kernels_between(t, &KernelTable::matmul_f32, &KernelTable::neuron_sum_bf16);
  }
  // rows of x against all panels; bf16 x is padded to a whole block with zeros, as table.h demands.
  static std::vector<float> run(void (*kernel)(const PanelMatmul&), const Guarded<float>& x, int64_t rows,
                                const PackedWeight& w) {
    Guarded<float> out(std::vector<float>(static_cast<size_t>(rows * w.view.rows), NAN));
    kernel({x.data(), w.view.cols, rows, w.view.data, w.view.step_bytes, w.view.cols, out.data(), w.view.rows,
            w.view.rows});
    return out.values();
  }
  static std::vector<float> run_pairs(void (*kernel)(const PanelMatmul&), const Guarded<float>& x, int64_t rows,
                                      const PackedWeight& w) {
    const int64_t step = round_up(w.view.cols, 32);
    std::vector<bf16_t> padded(static_cast<size_t>(rows * step));
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t k = 0; k < w.view.cols; ++k) padded[r * step + k] = f32_to_bf16(x[r * w.view.cols + k]);
    const Guarded<bf16_t> bf16(padded);
    Guarded<float> out(std::vector<float>(static_cast<size_t>(rows * w.view.rows), NAN));
    kernel(
        {bf16.data(), step, rows, w.view.data, w.view.step_bytes, w.view.cols, out.data(), w.view.rows, w.view.rows});
    return out.values();
  }
};

TEST_P(Product, PanelsMatchTheReference) {
  for (int64_t cols : {1, 2, 7, 31, 32, 33, 64, 100, 255, 511, 512, 513, 1100})
    for (int64_t outputs : {1, 15, 16, 17, 48, 70}) {
      const PackedWeight f32(DType::kF32, Layout::kPanels, outputs, cols, 1),
          bf16(DType::kBF16, Layout::kPanels, outputs, cols, 2);
      for (int64_t rows : {1, 2, 3, 4, 5, 6, 7, 8, 11, 13, 19, 25, 29}) {
        if (cols > 100 && rows % 2 == 0 && rows > 6) continue;
        const Guarded<float> x(normal(static_cast<size_t>(rows * cols), 3));
        const ::testing::Message at = ::testing::Message()
                                      << "rows " << rows << " cols " << cols << " outputs " << outputs;
        ASSERT_THAT(run(table.matmul_f32, x, rows, f32), SameBits(run(reference.matmul_f32, x, rows, f32))) << at;
        ASSERT_THAT(run(table.matmul_bf16, x, rows, bf16), SameBits(run(reference.matmul_bf16, x, rows, bf16))) << at;
        if (table.bf16_dot) {
          ASSERT_THAT(run_pairs(table.matmul_bf16_bf16, x, rows, bf16),
                      SameBits(run_pairs(reference.matmul_bf16_bf16, x, rows, bf16)))
              << at;
        }
      }
    }
}

// One row gives the same bits as that row among 16 and among 512.
TEST_P(Product, ARowDoesNotSeeItsNeighbours) {
  const int64_t cols = 300, outputs = 100, rows = 512;
  const Guarded<float> x(normal(rows * cols, 4));
  for (DType dtype : {DType::kF32, DType::kBF16}) {
    const PackedWeight w(dtype, Layout::kPanels, outputs, cols, 5);
    const auto kernel = dtype == DType::kF32 ? table.matmul_f32 : table.matmul_bf16;
    const std::vector<float> all = run(kernel, x, rows, w), sixteen = run(kernel, x, 16, w),
                             five = run(kernel, x, 5, w), one = run(kernel, x, 1, w);
    const auto head = [&](int64_t n) { return std::vector<float>(all.begin(), all.begin() + n * outputs); };
    EXPECT_THAT(sixteen, SameBits(head(16)));
    EXPECT_THAT(five, SameBits(head(5)));
    EXPECT_THAT(one, SameBits(head(1)));
  }
}

TEST_P(Product, NeuronsMatchTheReference) {
  for (int64_t width : kLengths) {
    const int64_t ffn = 200;
    const Guarded<float> x(normal(static_cast<size_t>(3 * width), 6));
    for (DType dtype : {DType::kF32, DType::kBF16}) {
      const PackedWeight up(dtype, Layout::kRows, ffn, width, 7), down(dtype, Layout::kNeurons, width, ffn, 8);
      const bool wide = dtype == DType::kF32;
      for (int stride : {1, 2, 7, 45}) {
        std::vector<int32_t> neurons;
        std::vector<int32_t> row_of;
        for (int32_t i = 3; i < ffn; i += stride) neurons.push_back(i), row_of.push_back(i % 3);
        const Guarded<int32_t> list(neurons), rows(row_of);
        const std::vector<float> zeros(neurons.size()), weights = normal(neurons.size(), 9);
        Guarded<float> got(zeros), want(zeros);
        const auto dot = [&](const KernelTable& t, Guarded<float>& out) {
          (wide ? t.neuron_dot_f32
                : t.neuron_dot_bf16)({x.data(), width, width, up.view.data, up.view.step_bytes, list.data(),
                                      rows.data(), static_cast<int64_t>(list.size()), out.data()});
        };
        dot(table, got), dot(reference, want);
        ASSERT_THAT(got.values(), SameBits(want.values())) << "width " << width << " stride " << stride;

        for (int64_t first = 0; first < width; first += 64) {
          const int64_t count = std::min<int64_t>(first + 80, width) - first;
          Guarded<float> sum(normal(static_cast<size_t>(count), 10)), want_sum(sum.values());
          const Guarded<float> values(weights);
          const auto add_up = [&](const KernelTable& t, Guarded<float>& out) {
            (wide ? t.neuron_sum_f32
                  : t.neuron_sum_bf16)({list.data(), values.data(), static_cast<int64_t>(list.size()), down.view.data,
                                        down.view.step_bytes, first, count, out.data()});
          };
          add_up(table, sum), add_up(reference, want_sum);
          ASSERT_THAT(sum.values(), SameBits(want_sum.values()))
              << "width " << width << " stride " << stride << " first " << first;
          if (width > 256 && first > 256) break;
        }
      }
    }
  }
}

TEST_P(Product, ConversionsMatchTheReference) {
  for (int64_t n : kLengths) {
    std::vector<float> values = normal(static_cast<size_t>(n), 11, 1e3f);
    const float special[] = {NAN, INFINITY, -INFINITY, 0.0f, -0.0f, 1e-42f, 3.4028235e38f, 1.00390625f, 1.01171875f};
    for (size_t i = 0; i < std::size(special) && i < values.size(); ++i) values[i] = special[i];
    const Guarded<float> x(values);
    Guarded<float> got(values.size()), want(values.size());
    table.round_bf16(x.data(), got.data(), n), reference.round_bf16(x.data(), want.data(), n);
    ASSERT_THAT(got.values(), SameBits(want.values()));
    Guarded<bf16_t> bits(values.size()), want_bits(values.size());
    table.to_bf16(x.data(), bits.data(), n), reference.to_bf16(x.data(), want_bits.data(), n);
    ASSERT_THAT(bits.values(), SameBits(want_bits.values()));
    table.from_bf16(bits.data(), 1.3f, got.data(), n), reference.from_bf16(bits.data(), 1.3f, want.data(), n);
    ASSERT_THAT(got.values(), SameBits(want.values()));
  }
}

G3N_FOR_TABLES(Product);

TEST(ReferenceProduct, IsAProduct) {
  const int64_t rows = 3, cols = 77, outputs = 21;
  const PackedWeight w(DType::kBF16, Layout::kPanels, outputs, cols, 12);
  const Guarded<float> x(normal(rows * cols, 13));
  const std::vector<float> got = Product::run(kReferenceKernels.matmul_bf16, x, rows, w);
  const std::vector<float> pairs = Product::run_pairs(kReferenceKernels.matmul_bf16_bf16, x, rows, w);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t o = 0; o < outputs; ++o) {
      double sum = 0, rounded = 0;
      for (int64_t k = 0; k < cols; ++k) {
        sum += double{x[r * cols + k]} * weight_value(w.view, o, k);
        rounded += double{bf16_to_f32(f32_to_bf16(x[r * cols + k]))} * weight_value(w.view, o, k);
      }
      EXPECT_NEAR(got[r * outputs + o], sum, 2e-5);
      EXPECT_NEAR(pairs[r * outputs + o], rounded, 2e-5);
    }
}

}  // namespace
}  // namespace g3n::test
