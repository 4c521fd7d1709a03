// Products with panels of codes, and the quantisation of activations: every table against the reference, bit for bit;
// the reference against doubles.
#include <cmath>

#include "kernels/ops_internal.h"
#include "kernels/table_cases.h"

namespace g3n::test {
namespace {

// Rows in int8, each array touching a guard page.
struct CodedInput {
  int64_t rows, step;
  Guarded<int8_t> codes;
  Guarded<float> scales;
  Guarded<int32_t> starts, half_starts;
  Guarded<float> minima;
  CodedInput(const KernelTable& table, const std::vector<float>& x, int64_t rows_, int64_t cols)
      : rows(rows_),
        step(round_up(cols, kPairCols)),
        codes(static_cast<size_t>(rows * step)),
        scales(static_cast<size_t>(rows * step / 32)),
        starts(static_cast<size_t>(rows * step / 32)),
        half_starts(static_cast<size_t>(rows * step / 16)),
        minima(static_cast<size_t>(rows * step / 32)) {
    for (int64_t r = 0; r < rows; ++r) {
      const Guarded<float> row(std::vector<float>(x.begin() + r * cols, x.begin() + (r + 1) * cols));
      table.quantize_row(row.data(), cols, codes.data() + r * step, scales.data() + r * (step / 32),
                         starts.data() + r * (step / 32));
    }
    sum_codes(codes.data(), scales.data(), rows * step / 32, half_starts.data(), minima.data());
  }
  QuantizedRows view() const {
    return {codes.data(), step, scales.data(), starts.data(), half_starts.data(), minima.data()};
  }
};

struct Quantized : TableTest {
  static std::string kernels_of(const KernelTable& t) {
    std::string kernels = bytes_of(t.quantize_row);
    for (CodeKernels KernelTable::*type : kCodeTypes) kernels += bytes_of((t.*type).matmul);
    return kernels;
  }
  static std::vector<float> run(const KernelTable& table, const CodedInput& x, const WeightView& w) {
    Guarded<float> out(std::vector<float>(static_cast<size_t>(x.rows * w.rows), NAN));
    code_kernels(table, w.dtype).matmul({x.view(), x.rows, w.data, w.step_bytes, x.step, out.data(), w.rows, w.rows});
    return out.values();
  }
};

TEST_P(Quantized, RowsMatchTheReference) {
  for (int64_t cols : kLengths) {
    std::vector<float> x = normal(static_cast<size_t>(cols), 1, 100.0f);
    for (int special = 0; special < 5; ++special) {
      if (special == 1) x[cols / 2] = 1e30f;  // the rest of its block becomes zero
      if (special == 2) std::fill_n(x.begin(), std::min<int64_t>(cols, 40), 1e-42f);
      if (special == 3) x[cols - 1] = NAN;
      if (special == 4) x[cols - 1] = -INFINITY;
      const CodedInput got(table, x, 1, cols), want(reference, x, 1, cols);
      ASSERT_EQ(got.codes.values(), want.codes.values()) << "cols " << cols << " special " << special;
      ASSERT_THAT(got.scales.values(), SameBits(want.scales.values())) << "cols " << cols << " special " << special;
      ASSERT_EQ(got.starts.values(), want.starts.values());
      if (special > 2) {
        EXPECT_TRUE(std::isnan(want.scales[static_cast<size_t>((cols - 1) / 32)]));
      }
    }
  }
}

// Half-way values go to the even code: 127 is the largest, so that x and code are equal.
TEST_P(Quantized, TiesGoToEven) {
  std::vector<float> x(32, 0.0f);
  x[0] = 127.0f, x[1] = 0.5f, x[2] = 1.5f, x[3] = -2.5f, x[4] = -127.0f;
  const CodedInput in(table, x, 1, 32);
  EXPECT_EQ((std::vector<int>{in.codes[0], in.codes[1], in.codes[2], in.codes[3], in.codes[4]}),
            (std::vector<int>{127, 0, 2, -2, -127}));
  EXPECT_EQ(in.scales[0], 1.0f);
  EXPECT_EQ(in.starts[0], -8 * (127 + 0 + 2 - 2 - 127));
}

TEST_P(Quantized, PanelsMatchTheReference) {
  for (DType dtype : {DType::kQ8_0, DType::kQ4_0})
    for (int64_t cols : {1, 31, 32, 33, 64, 100, 255, 512, 513, 1100})
      for (int64_t outputs : {1, 15, 16, 17, 48, 70, 100}) {
        const PackedWeight w(dtype, Layout::kPanels, outputs, cols, 1);
        for (int64_t rows : {1, 2, 3, 4, 5, 7, 8, 12, 19}) {
          if (cols > 100 && rows % 2 == 0 && rows > 4) continue;
          const std::vector<float> x = normal(static_cast<size_t>(rows * cols), 3);
          const CodedInput in(reference, x, rows, cols);
          ASSERT_THAT(run(table, in, w.view), SameBits(run(reference, in, w.view)))
              << dtype_name(dtype) << " rows " << rows << " cols " << cols << " outputs " << outputs;
        }
      }
}

// Every code at its extreme: no intermediate sum may saturate.
TEST_P(Quantized, ExtremeCodesDoNotSaturate) {
  for (DType dtype : {DType::kQ8_0, DType::kQ4_0})
    for (int byte : {0x00, 0xff, 0x0f, 0xf0}) {
      PackedWeight w(dtype, Layout::kPanels, 16, 64, 1);
      for (int64_t i = 64; i < w.view.step_bytes; ++i)
        w.memory[static_cast<size_t>(i)] = std::byte{static_cast<uint8_t>(byte)};
      for (float sign : {1.0f, -1.0f}) {
        const CodedInput in(reference, std::vector<float>(5 * 64, sign), 5, 64);
        ASSERT_EQ(in.codes[3], sign * 127);
        ASSERT_THAT(run(table, in, w.view), SameBits(run(reference, in, w.view)))
            << dtype_name(dtype) << " byte " << byte;
      }
    }
}

TEST_P(Quantized, ARowDoesNotSeeItsNeighbours) {
  const int64_t cols = 300, outputs = 100, rows = 100;
  const std::vector<float> x = normal(rows * cols, 4);
  for (DType dtype : {DType::kQ8_0, DType::kQ4_0}) {
    const PackedWeight w(dtype, Layout::kPanels, outputs, cols, 5);
    const std::vector<float> all = run(table, CodedInput(table, x, rows, cols), w.view);
    for (int64_t n : {1, 2, 3, 5, 16}) {
      const std::vector<float> some(x.begin(), x.begin() + n * cols);
      EXPECT_THAT(run(table, CodedInput(table, some, n, cols), w.view),
                  SameBits(std::vector<float>(all.begin(), all.begin() + n * outputs)));
    }
  }
}

// Both operands decoded to doubles: only the f32 totals round. One residual channel in forty is a thousand times the
// rest.
TEST_P(Quantized, TotalsAreThoseOfTheDecodedValues) {
  const int64_t cols = 2048, outputs = 20;
  std::vector<float> x = normal(cols, 6);
  for (int64_t i = 7; i < cols; i += 40) x[i] *= 1000.0f;
  for (DType dtype : {DType::kQ8_0, DType::kQ4_0}) {
    const PackedWeight w(dtype, Layout::kPanels, outputs, cols, 7);
    const CodedInput in(table, x, 1, cols);
    const std::vector<float> got = run(table, in, w.view);
    for (int64_t o = 0; o < outputs; ++o) {
      double coded = 0, exact = 0, size = 0;
      for (int64_t k = 0; k < cols; ++k) {
        const double weight = weight_value(w.view, o, k);
        coded += static_cast<double>(in.scales[k / 32]) * in.codes[k] * weight;
        exact += x[k] * weight;
        size += std::fabs(x[k] * weight);
      }
      EXPECT_NEAR(got[o], coded, size * 1e-6);
      EXPECT_NEAR(got[o], exact, size * 0.01);  // half a code of 127 at the most, on one side only
    }
  }
}

// Rows around every tile, outputs around every panel; chunks of two super-blocks. The reference takes row by row, so
// one row alone gives the bits of one among many.
TEST_P(Quantized, PanelsOfFilesMatchTheReference) {
  for (DType dtype : kFileTypes)
    for (int64_t cols : {32, 96, 256, 512, 768, 1280})
      for (int64_t outputs : {1, 7, 15, 16, 17, 31, 32, 33, 40, 70}) {
        if (cols != 256 && outputs != 17 && outputs != 70) continue;
        if (cols % dtype_facts(dtype).block_values != 0) continue;
        const FileWeight w(dtype, outputs, cols, static_cast<uint64_t>(cols + outputs));
        for (int64_t rows : {1, 2, 3, 4, 5, 6, 7, 8, 9, 17}) {
          if (outputs > 33 && rows > 3 && rows < 8) continue;
          const CodedInput in(reference, normal(static_cast<size_t>(rows * cols), 3), rows, cols);
          ASSERT_THAT(run(table, in, w.view), SameBits(run(reference, in, w.view)))
              << dtype_name(dtype) << " rows " << rows << " cols " << cols << " outputs " << outputs;
        }
      }
}

// Codes all 15, 31, 63 or -127, against 127 and -127 at once and in turn: sums of 16 bits hold so many lines and no
// more.
TEST_P(Quantized, ExtremeCodesOfFilesDoNotOverflow) {
  for (DType dtype : kFileTypes)
    for (int byte : {0x00, 0xff, 0x0f, 0xf0}) {
      FileWeight w(dtype, 16, 512, 1);
      const PanelGroup group = panel_group(dtype);
      const int64_t head = dtype == DType::kIQ4_NL || dtype == DType::kQ5_0 ? 64
                           : dtype == DType::kQ4_1 || dtype == DType::kQ5_1 ? 2 * 64
                           : dtype == DType::kIQ4_XS                        ? 3 * 64
                                                                            : 5 * 64;
      for (int64_t i = 0; i < w.view.step_bytes; ++i)
        if (i % group.bytes >= head) w.memory[static_cast<size_t>(i)] = std::byte{static_cast<uint8_t>(byte)};
      for (int pattern = 0; pattern < 6; ++pattern) {
        const int64_t rows = 9;
        std::vector<float> x(static_cast<size_t>(rows * 512));
        for (size_t i = 0; i < x.size(); ++i)
          x[i] = pattern < 2 ? (pattern ? -1.0f : 1.0f) : (i >> (pattern - 2)) % 2 ? -1.0f : 1.0f;
        const CodedInput in(reference, x, rows, 512);
        ASSERT_EQ(std::abs(in.codes[3]), 127);
        ASSERT_THAT(run(table, in, w.view), SameBits(run(reference, in, w.view)))
            << dtype_name(dtype) << " byte " << byte << " pattern " << pattern;
        const CodedInput one(reference, std::vector<float>(x.begin(), x.begin() + 512), 1, 512);
        ASSERT_THAT(run(table, one, w.view), SameBits(run(reference, one, w.view)));
      }
    }
}

// One input alone, each in turn: the values of its column.
TEST_P(Quantized, EveryInputMeetsItsCode) {
  for (DType dtype : kFileTypes) {
    const FileWeight w(dtype, 17, 256, 8);
    const int64_t rows = 256;
    std::vector<float> x(static_cast<size_t>(rows * 256), 0.0f);
    for (int64_t i = 0; i < 256; ++i) x[static_cast<size_t>(i * 256 + i)] = 127.0f;  // code 127, scale 1
    const std::vector<float> out = run(table, CodedInput(table, x, rows, 256), w.view);
    for (int64_t i = 0; i < 256; ++i)
      for (int64_t o = 0; o < 17; ++o) {
        const float value = weight_value(w.view, o, i);
        ASSERT_NEAR(out[static_cast<size_t>(i * 17 + o)], 127.0f * value, 1e-2f + std::fabs(value) * 1e-4f)
            << dtype_name(dtype) << " input " << i << " output " << o;
      }
  }
}

TEST_P(Quantized, TotalsOfFilesAreThoseOfTheDecodedValues) {
  const int64_t cols = 2048, outputs = 20;
  std::vector<float> x = normal(cols, 6);
  for (int64_t i = 7; i < cols; i += 40) x[static_cast<size_t>(i)] *= 1000.0f;
  for (DType dtype : kFileTypes) {
    const FileWeight w(dtype, outputs, cols, 9);
    const CodedInput in(table, x, 1, cols);
    const std::vector<float> got = run(table, in, w.view);
    for (int64_t o = 0; o < outputs; ++o) {
      double coded = 0, size = 0;
      for (int64_t k = 0; k < cols; ++k) {
        const double weight = weight_value(w.view, o, k), code = in.codes[static_cast<size_t>(k)];
        coded += static_cast<double>(in.scales[static_cast<size_t>(k / 32)]) * code * weight;
        size += std::fabs(in.scales[static_cast<size_t>(k / 32)] * code * weight);
      }
      EXPECT_NEAR(got[static_cast<size_t>(o)], coded, size * 2e-6) << dtype_name(dtype) << " output " << o;
    }
  }
}

// A block with a value that is not finite makes every output of its row NaN, and of no other row.
TEST_P(Quantized, BrokenActivationsStayInTheirRow) {
  for (DType dtype : kFileTypes)
    for (float broken : {NAN, INFINITY, -INFINITY}) {
      const FileWeight w(dtype, 40, 512, 10);
      std::vector<float> x = normal(9 * 512, 11);
      const std::vector<float> before = run(table, CodedInput(table, x, 9, 512), w.view);
      x[4 * 512 + 300] = broken;
      const std::vector<float> after = run(table, CodedInput(table, x, 9, 512), w.view);
      for (int64_t i = 0; i < 9 * 40; ++i) {
        if (i / 40 == 4)
          ASSERT_TRUE(std::isnan(after[static_cast<size_t>(i)])) << dtype_name(dtype);
        else
          ASSERT_EQ(after[static_cast<size_t>(i)], before[static_cast<size_t>(i)]);
      }
    }
}

G3N_FOR_TABLES(Quantized);

}  // namespace
}  // namespace g3n::test
