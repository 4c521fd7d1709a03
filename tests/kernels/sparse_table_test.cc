// Products with single q8 and q4 neurons, and the listing of live ones: every table against the reference, bit for bit;
// the reference against doubles.
#include <cmath>

#include "kernels/table_cases.h"

namespace g3n::test {
namespace {

struct CodedRows {
  int64_t step;
  std::vector<int8_t> codes;
  Guarded<float> scales;
  std::vector<int32_t> starts;
  CodedRows(const std::vector<float>& x, int64_t rows, int64_t cols)
      : step(round_up(cols, kPairCols)),
        codes(static_cast<size_t>(rows * step)),
        scales(static_cast<size_t>(rows * step / 32)),
        starts(scales.size()) {
    for (int64_t r = 0; r < rows; ++r)
      kReferenceKernels.quantize_row(x.data() + r * cols, cols, codes.data() + r * step,
                                     scales.data() + r * (step / 32), starts.data() + r * (step / 32));
  }
  QuantizedRows view() const { return {codes.data(), step, scales.data(), starts.data()}; }
};

// The bytes of all codes of a weight.
void fill_codes(PackedWeight& w, uint8_t byte) {
  const WeightView& v = w.view;
  const bool rows = v.layout == Layout::kRows;
  const int64_t steps = rows ? v.rows : round_up(v.cols, 32) / 32, scales = round_up(v.rows, kNeuronOutputs) * 2;
  for (int64_t s = 0; s < steps; ++s) {
    std::byte* at = w.memory.data() + s * v.step_bytes;
    if (rows)
      std::fill_n(at, code_bytes(v.dtype, round_up(v.cols, kPairCols)), std::byte{byte});
    else
      std::fill(at + scales, at + v.step_bytes, std::byte{byte});
  }
}

struct QuantizedSparse : TableTest {
  static std::vector<float> dots(const KernelTable& t, const WeightView& up, const CodedRows& x,
                                 const std::vector<int32_t>& neurons, const std::vector<int32_t>& rows) {
    const Guarded<int32_t> n(neurons), r(rows);
    Guarded<float> out(std::vector<float>(neurons.size(), NAN));
    (up.dtype == DType::kQ8_0 ? t.neuron_dot_q8
                              : t.neuron_dot_q4)({x.view(), round_up(up.cols, kPairCols), up.data, up.step_bytes,
                                                  n.data(), r.data(), static_cast<int64_t>(n.size()), out.data()});
    return out.values();
  }

  // The first group of `down` for three rows out of five, of which the second has `count` live neurons.
  static std::vector<float> sums(const KernelTable& t, const WeightView& down, int count, int8_t code, int64_t first,
                                 int64_t width) {
    std::vector<LiveRow> live;
    std::vector<NeuronPair> pairs;
    uint32_t occur = 0;
    for (int row : {0, 2, 4}) {
      const int neurons = row == 2 ? count : row == 0 ? 1 : 4;
      LiveRow entry{row, (neurons + 1) / 2, 0.01f * static_cast<float>(row + 1), 0};
      for (int i = 0; i < neurons; i += 2) {
        const auto value = [&](int n) { return static_cast<int8_t>(code ? code : (n * 37 + row * 11) % 255 - 127); };
        NeuronPair p{static_cast<uint8_t>((i + row) % 32), static_cast<uint8_t>((i + row) % 32), value(i), 0};
        if (i + 1 < neurons) p.b = static_cast<uint8_t>((i + row + 1) % 32), p.b_code = value(i + 1);
        entry.start -= 8 * (p.a_code + p.b_code);
        pairs.push_back(p);
        occur |= 1u << p.a | 1u << p.b;
      }
      live.push_back(entry);
    }
    const Guarded<LiveRow> entries(live);
    const Guarded<NeuronPair> codes(pairs);
    const Guarded<float> before(normal(static_cast<size_t>(5 * width), 10));
    Guarded<float> out(before.values());
    (down.dtype == DType::kQ8_0 ? t.neuron_sum_q8 : t.neuron_sum_q4)({entries.data(), 3, codes.data(), occur, down.data,
                                                                      round_up(down.rows, kNeuronOutputs), first, width,
                                                                      out.data(), width});
    return out.values();
  }
};

TEST_P(QuantizedSparse, MasksMatchTheReference) {
  for (int64_t n : kLengths) {
    std::vector<float> x = normal(static_cast<size_t>(n), 1);
    for (size_t i = 0; i < x.size(); ++i)
      x[i] = i % 5 == 1 ? -0.0f : i % 5 == 2 ? 0.0f : i % 7 == 3 ? NAN : i % 7 == 4 ? 1e-42f : x[i];
    const Guarded<float> row(x);
    const size_t groups = static_cast<size_t>(round_up(n, 32) / 32);
    Guarded<uint32_t> got(std::vector<uint32_t>(groups * 3 - 2, 7)), want(got.values());
    EXPECT_EQ(table.live_masks(row.data(), n, got.data(), 3), reference.live_masks(row.data(), n, want.data(), 3));
    ASSERT_EQ(got.values(), want.values()) << n;
    EXPECT_EQ(want[0] & 2, 0u);
    if (n > 3) {
      EXPECT_EQ(want[0] & 8, 8u);  // NaN
    }
  }
}

TEST_P(QuantizedSparse, DotsMatchTheReference) {
  const int64_t ffn = 40, rows = 6;
  for (DType dtype : {DType::kQ8_0, DType::kQ4_0})
    for (int64_t cols : {1, 31, 32, 33, 64, 65, 100, 255, 520, 1024, 1056, 2048}) {
      const PackedWeight up(dtype, Layout::kRows, ffn, cols, 2);
      const CodedRows x(normal(static_cast<size_t>(rows * cols), 3), rows, cols);
      for (size_t count : {0u, 1u, 3u, 4u, 5u, 9u, 50u})
        for (int run : {1, 4, 6}) {  // entries of the same neuron in a row
          std::vector<int32_t> neurons, of_row;
          for (size_t i = 0; i < count; ++i)
            neurons.push_back(static_cast<int32_t>(i) / run * 7 % ffn),
                of_row.push_back(static_cast<int32_t>(i) % rows);
          ASSERT_THAT(dots(table, up.view, x, neurons, of_row), SameBits(dots(reference, up.view, x, neurons, of_row)))
              << dtype_name(dtype) << " cols " << cols << " count " << count;
        }
    }
}

TEST_P(QuantizedSparse, SumsMatchTheReference) {
  for (DType dtype : {DType::kQ8_0, DType::kQ4_0})
    for (int64_t outputs : {1, 15, 16, 31, 32, 33, 64, 100, 128, 200, 300, 700}) {
      const PackedWeight down(dtype, Layout::kNeurons, outputs, 32, 4);
      for (int count : {1, 2, 3, 4, 5, 8, 31, 32})
        for (int64_t first = 0; first < outputs; first += 64)
          for (int64_t width : {outputs - first, std::min<int64_t>(outputs - first, 41)}) {
            if (first > 128 && count > 4) continue;
            ASSERT_THAT(sums(table, down.view, count, 0, first, width),
                        SameBits(sums(reference, down.view, count, 0, first, width)))
                << dtype_name(dtype) << " outputs " << outputs << " live " << count << " first " << first << " width "
                << width;
          }
    }
}

// Every code and value at its extreme: nothing may saturate or wrap for good.
TEST_P(QuantizedSparse, ExtremeCodesAreExact) {
  for (DType dtype : {DType::kQ8_0, DType::kQ4_0})
    for (uint8_t byte : {0x00, 0xff, 0x0f, 0x80, 0x7f})
      for (int8_t code : {int8_t{127}, int8_t{-127}}) {
        PackedWeight up(dtype, Layout::kRows, 1, 128, 1), down(dtype, Layout::kNeurons, 70, 32, 1);
        fill_codes(up, byte), fill_codes(down, byte);
        const CodedRows x(std::vector<float>(128, code), 1, 128);
        ASSERT_EQ(x.codes[5], code);
        const std::vector<int32_t> one = {0};
        ASSERT_THAT(dots(table, up.view, x, one, one), SameBits(dots(reference, up.view, x, one, one)))
            << dtype_name(dtype) << " byte " << int{byte};
        for (int count : {1, 2, 17, 32})
          ASSERT_THAT(sums(table, down.view, count, code, 0, 70),
                      SameBits(sums(reference, down.view, count, code, 0, 70)))
              << dtype_name(dtype) << " byte " << int{byte};
      }
}

// Decoded to doubles: only the f32 sums round.
TEST_P(QuantizedSparse, AreProductsOfTheDecodedValues) {
  const int64_t cols = 600, outputs = 200;
  for (DType dtype : {DType::kQ8_0, DType::kQ4_0}) {
    const PackedWeight up(dtype, Layout::kRows, 3, cols, 5), down(dtype, Layout::kNeurons, outputs, 32, 6);
    const CodedRows x(normal(2 * cols, 7), 2, cols);
    const std::vector<float> dot = dots(table, up.view, x, {0, 2}, {1, 1});
    for (int i : {0, 1}) {
      double want = 0;
      for (int64_t k = 0; k < cols; ++k)
        want += double{x.scales[static_cast<size_t>(x.step / 32 + k / 32)]} * x.codes[static_cast<size_t>(x.step + k)] *
                weight_value(up.view, 2 * i, k);
      EXPECT_NEAR(dot[static_cast<size_t>(i)], want, 1e-4);
    }
    const std::vector<float> sum = sums(table, down.view, 3, 0, 0, outputs), before = normal(5 * outputs, 10);
    for (int64_t c = 0; c < outputs; ++c) {
      double want = before[static_cast<size_t>(2 * outputs + c)];
      for (int i = 0; i < 3; ++i)
        want += double{0.03f} * ((i * 37 + 22) % 255 - 127) * weight_value(down.view, c, i + 2);
      EXPECT_NEAR(sum[static_cast<size_t>(2 * outputs + c)], want, 1e-5);
      EXPECT_EQ(sum[static_cast<size_t>(outputs + c)],
                before[static_cast<size_t>(outputs + c)]);  // no live neuron: left alone
    }
  }
}

G3N_FOR_TABLES(QuantizedSparse);

}  // namespace
}  // namespace g3n::test
