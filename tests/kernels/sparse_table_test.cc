// Products with single neurons in codes, and the listing of live ones: every table against the reference, bit for bit;
// the reference against doubles.
#include <cmath>

#include "kernels/ops_internal.h"
#include "kernels/table_cases.h"

namespace g3n::test {
namespace {

struct CodedRows {
  int64_t step;
  std::vector<int8_t> codes;
  Guarded<float> scales, minima;
  std::vector<int32_t> starts, half_starts;
  CodedRows(const std::vector<float>& x, int64_t rows, int64_t cols)
      : step(round_up(cols, kPairCols)),
        codes(static_cast<size_t>(rows * step)),
        scales(static_cast<size_t>(rows * step / 32)),
        minima(scales.size()),
        starts(scales.size()),
        half_starts(2 * scales.size()) {
    for (int64_t r = 0; r < rows; ++r)
      kReferenceKernels.quantize_row(x.data() + r * cols, cols, codes.data() + r * step,
                                     scales.data() + r * (step / 32), starts.data() + r * (step / 32));
    sum_codes(codes.data(), scales.data(), rows * step / 32, half_starts.data(), minima.data());
  }
  QuantizedRows view() const {
    return {codes.data(), step, scales.data(), starts.data(), half_starts.data(), minima.data()};
  }
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
// Blocks of a file whose codes are such bytes.
std::vector<std::byte> blocks_of_codes(DType dtype, int64_t blocks, uint8_t byte) {
  std::vector<std::byte> out = random_blocks(dtype, blocks, 1);
  const int64_t size = dtype_bytes(dtype), first = dtype == DType::kQ6_K     ? 0
                                                   : dtype == DType::kIQ4_NL ? 2
                                                   : dtype == DType::kQ5_0   ? 2
                                                   : dtype == DType::kQ4_1   ? 4
                                                   : dtype == DType::kQ5_1   ? 4
                                                   : dtype == DType::kIQ4_XS ? 8
                                                                             : 16;
  const int64_t last = dtype == DType::kQ6_K ? 192 : size;
  for (int64_t b = 0; b < blocks; ++b)
    std::fill(&out[static_cast<size_t>(b * size + first)], &out[static_cast<size_t>(b * size)] + last, std::byte{byte});
  return out;
}

struct QuantizedSparse : TableTest {
  static std::string kernels_of(const KernelTable& t) {
    std::string kernels = bytes_of(t.live_masks);
    for (CodeKernels KernelTable::*type : kCodeTypes) kernels += bytes_of((t.*type).neuron_dot, (t.*type).neuron_sum);
    return kernels;
  }
  static std::vector<float> dots(const KernelTable& t, const WeightView& up, const CodedRows& x,
                                 const std::vector<int32_t>& neurons, const std::vector<int32_t>& rows) {
    const Guarded<int32_t> n(neurons), r(rows);
    Guarded<float> out(std::vector<float>(neurons.size(), NAN));
    code_kernels(t, up.dtype)
        .neuron_dot({x.view(), up.layout == Layout::kRows ? round_up(up.cols, kPairCols) : up.cols, up.data,
                     up.step_bytes, n.data(), r.data(), static_cast<int64_t>(n.size()), out.data()});
    return out.values();
  }

  static int8_t value_of(int i, int row) { return static_cast<int8_t>((i * 37 + row * 11) % 255 - 127); }

  // A group of `down` for three rows out of five, of which the second has `count` live neurons, from 2 on; all values
  // `code`, or value_of if that is 0.
  static std::vector<float> sums(const KernelTable& t, const WeightView& down, int count, int8_t code, int64_t first,
                                 int64_t width, int64_t group = 0) {
    const int parts = down.dtype == DType::kQ6_K ? 2 : 1;
    std::vector<LiveRow> live;
    std::vector<NeuronPair> pairs;
    uint32_t occur = 0;
    for (int row : {0, 2, 4}) {
      const int neurons = row == 2 ? count : row == 0 ? 1 : 4;
      int8_t values[32];
      uint32_t mask = 0;
      for (int i = 0; i < neurons; ++i) {
        mask |= 1u << (i + row) % 32;
        values[(i + row) % 32] = code ? code : value_of(i, row);
      }
      occur |= mask;
      LiveRow entry{row, 0, 0.01f * static_cast<float>(row + 1), 0};
      for (int part = 0; part < parts; ++part) {
        std::vector<uint8_t> some;
        for (int n = 32 / parts * part; n < 32 / parts * (part + 1); ++n)
          if (mask >> n & 1) some.push_back(static_cast<uint8_t>(n)), entry.start -= 8 * values[n];
        for (size_t i = 0; i < some.size(); i += 2, ++entry.pairs)
          pairs.push_back(i + 1 < some.size() ? NeuronPair{some[i], some[i + 1], values[some[i]], values[some[i + 1]]}
                                              : NeuronPair{some[i], some[i], values[some[i]], 0});
      }
      live.push_back(entry);
    }
    const Guarded<LiveRow> entries(live);
    const Guarded<NeuronPair> codes(pairs);
    const Guarded<float> before(normal(static_cast<size_t>(5 * width), 10));
    Guarded<float> out(before.values());
    const NeuronGroup planes = neuron_group(down.dtype);
    const int64_t outputs = round_up(down.rows, kNeuronOutputs), together = planes.neurons / 32;
    const std::byte* head = down.data + group / together * down.step_bytes;
    code_kernels(t, down.dtype)
        .neuron_sum({entries.data(), 3, codes.data(), occur,
                     head + outputs * (planes.head_bytes + group % together * planes.group_bytes), head, outputs, first,
                     width, out.data(), width});
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

// Rows of blocks: one chunk of them, two, odd numbers of blocks.
TEST_P(QuantizedSparse, DotsOfBlocksMatchTheReference) {
  const int64_t ffn = 40, rows = 6;
  for (DType dtype : kFileTypes)
    for (int64_t cols : {32, 96, 256, 768, 2048, 2080, 2304, 4352}) {
      if (cols % dtype_facts(dtype).block_values != 0) continue;
      const FileWeight up(dtype, ffn, cols, 2, Layout::kBlocks);
      const CodedRows x(normal(static_cast<size_t>(rows * cols), 3), rows, cols);
      for (size_t count : {0u, 1u, 3u, 4u, 5u, 9u, 50u})
        for (int run : {1, 4, 6, 23}) {  // entries of the same neuron in a row
          if (cols > 768 && count != 5 && count != 50) continue;
          std::vector<int32_t> neurons, of_row;
          for (size_t i = 0; i < count; ++i)
            neurons.push_back((39 - static_cast<int32_t>(i) / run * 7 % ffn) % ffn),
                of_row.push_back(static_cast<int32_t>(i) % rows);
          ASSERT_THAT(dots(table, up.view, x, neurons, of_row), SameBits(dots(reference, up.view, x, neurons, of_row)))
              << dtype_name(dtype) << " cols " << cols << " count " << count;
        }
    }
}

TEST_P(QuantizedSparse, SumsOfFilesMatchTheReference) {
  for (DType dtype : kFileTypes)
    for (int64_t outputs : {1, 33, 100, 128, 300}) {
      const FileWeight down(dtype, outputs, 512, static_cast<uint64_t>(outputs), Layout::kNeurons);
      for (int64_t group : {0, 1, 13})
        for (int count : {1, 2, 3, 5, 9, 16, 17, 32})
          for (int64_t first = 0; first < outputs; first += 64)
            for (int64_t width : {outputs - first, std::min<int64_t>(outputs - first, 41)}) {
              if ((first > 0 || group > 0) && count > 3) continue;
              ASSERT_THAT(sums(table, down.view, count, 0, first, width, group),
                          SameBits(sums(reference, down.view, count, 0, first, width, group)))
                  << dtype_name(dtype) << " outputs " << outputs << " live " << count << " first " << first << " width "
                  << width << " group " << group;
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

TEST_P(QuantizedSparse, ExtremeCodesOfFilesAreExact) {
  for (DType dtype : kFileTypes)
    for (uint8_t byte : {0x00, 0xff, 0x0f, 0xf0})
      for (int8_t code : {int8_t{127}, int8_t{-127}}) {
        const FileWeight up(dtype, blocks_of_codes(dtype, 512 / dtype_facts(dtype).block_values, byte), 1, 512,
                            Layout::kBlocks),
            down(dtype, blocks_of_codes(dtype, 70 * 256 / dtype_facts(dtype).block_values, byte), 70, 256,
                 Layout::kNeurons);
        const CodedRows x(std::vector<float>(512, code), 1, 512);
        ASSERT_EQ(x.codes[5], code);
        const std::vector<int32_t> one = {0};
        ASSERT_THAT(dots(table, up.view, x, one, one), SameBits(dots(reference, up.view, x, one, one)))
            << dtype_name(dtype) << " byte " << int{byte};
        for (int count : {1, 2, 3, 4, 5, 8, 9, 16, 17, 32})
          ASSERT_THAT(sums(table, down.view, count, code, 0, 70),
                      SameBits(sums(reference, down.view, count, code, 0, 70)))
              << dtype_name(dtype) << " byte " << int{byte} << " live " << count;
      }
}

// Decoded to doubles: only the f32 sums round.
TEST_P(QuantizedSparse, AreProductsOfTheDecodedValues) {
  const int64_t outputs = 200;
  std::vector<DType> types = {DType::kQ8_0, DType::kQ4_0};
  types.insert(types.end(), std::begin(kFileTypes), std::end(kFileTypes));
  for (DType dtype : types) {
    const int64_t cols = is_file_type(dtype) ? 768 : 600;
    const SparseWeight up(dtype, Layout::kRows, 3, cols, 5), down(dtype, Layout::kNeurons, outputs, 256, 6);
    const CodedRows x(normal(static_cast<size_t>(2 * cols), 7), 2, cols);
    const std::vector<float> dot = dots(table, up.view, x, {0, 2}, {1, 1});
    for (int i : {0, 1}) {
      double want = 0, size = 0;
      for (int64_t k = 0; k < cols; ++k) {
        const double scale = x.scales[static_cast<size_t>(x.step / 32 + k / 32)],
                     term = scale * x.codes[static_cast<size_t>(x.step + k)] * weight_value(up.view, 2 * i, k);
        want += term, size += std::fabs(term);
      }
      EXPECT_NEAR(dot[static_cast<size_t>(i)], want, size * 2e-6) << dtype_name(dtype);
    }
    for (const int64_t group : {0, 5})
      for (const int count : {3, 20}) {
        const std::vector<float> sum = sums(table, down.view, count, 0, 0, outputs, group),
                                 before = normal(5 * outputs, 10);
        for (int64_t c = 0; c < outputs; ++c) {
          double want = before[static_cast<size_t>(2 * outputs + c)], size = std::fabs(want);
          for (int i = 0; i < count; ++i) {
            const double term = double{0.03f} * value_of(i, 2) * weight_value(down.view, c, group * 32 + i + 2);
            want += term, size += std::fabs(term);
          }
          EXPECT_NEAR(sum[static_cast<size_t>(2 * outputs + c)], want, size * 4e-6)
              << dtype_name(dtype) << " group " << group << " live " << count;
          EXPECT_EQ(sum[static_cast<size_t>(outputs + c)],
                    before[static_cast<size_t>(outputs + c)]);  // no live neuron: left alone
        }
      }
  }
}

G3N_FOR_TABLES(QuantizedSparse);

}  // namespace
}  // namespace g3n::test
