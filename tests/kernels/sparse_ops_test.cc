// sparse_feed_forward: against doubles and the reference, on several threads, a row alone and among others, and its
// errors.
#include <cmath>
#include <map>

#include "g3n/error.h"
#include "kernels/ops_cases.h"

namespace g3n::test {
namespace {

SparseWeight up_of(DType dtype, int64_t hidden, int64_t ffn) { return {dtype, Layout::kRows, ffn, hidden, 1}; }
SparseWeight down_of(DType dtype, int64_t hidden, int64_t ffn) { return {dtype, Layout::kNeurons, hidden, ffn, 2}; }

// Rows of x and of the gate, of whose values this part is not 0, into weights of either kind.
struct SparseInput {
  int64_t rows, hidden, ffn;
  std::vector<float> x, gate;
  SparseInput(int64_t r, int64_t h, int64_t f, float density)
      : rows(r),
        hidden(h),
        ffn(f),
        x(normal(static_cast<size_t>(r * h), 3)),
        gate(normal(static_cast<size_t>(r * f), 4)) {
    const std::vector<float> dice = normal(gate.size(), 5);
    for (size_t i = 0; i < gate.size(); ++i) gate[i] = std::fabs(dice[i]) < density * 3 ? std::fabs(gate[i]) : 0.0f;
  }
  void run(Context& ctx, const WeightView& up, const WeightView& down, int64_t first, int64_t count,
           std::vector<float>& out) const {
    sparse_feed_forward(ctx, matrix(x, rows, hidden).slice(first, count), matrix(gate, rows, ffn).slice(first, count),
                        up, down, matrix(out, count, hidden));
  }
};

struct SparseCase : SparseInput {
  SparseWeight up, down;
  SparseCase(DType dtype, int64_t r, int64_t h, int64_t f, float density)
      : SparseInput(r, h, f, density), up(up_of(dtype, h, f)), down(down_of(dtype, h, f)) {}
  void run(Context& ctx, int64_t first, int64_t count, std::vector<float>& out) const {
    SparseInput::run(ctx, up.view, down.view, first, count, out);
  }
};

TEST(SparseFeedForward, IsTheFormulaOnAnyNumberOfThreads) {
  for (DType dtype : {DType::kF32, DType::kBF16})
    for (ComputeType compute : {ComputeType::kF32, ComputeType::kBF16})
      for (float density : {0.0f, 0.05f, 1.0f})
        for (int64_t rows : {1, 2, 5, 30}) {
          const SparseCase s(dtype, rows, 100, 300, density);
          const std::vector<float> out = same_on_all_threads(
              static_cast<size_t>(rows * s.hidden),
              [&](Context& ctx, std::vector<float>& o) { s.run(ctx, 0, rows, o); }, compute);
          const bool bf16 = compute == ComputeType::kBF16;
          const auto rounded = [&](float v) { return bf16 ? bf16_to_f32(f32_to_bf16(v)) : v; };
          for (int64_t r = 0; r < rows; ++r) {
            std::vector<double> want(static_cast<size_t>(s.hidden));
            for (int64_t n = 0; n < s.ffn; ++n) {
              const double g = s.gate[r * s.ffn + n];
              if (g == 0) continue;
              double dot = 0;
              for (int64_t k = 0; k < s.hidden; ++k)
                dot += double{rounded(s.x[r * s.hidden + k])} * weight_value(s.up.view, n, k);
              const double value = rounded(
                  static_cast<float>(g / (1 + std::exp(-1.5957691216057308 * (g + 0.044715 * g * g * g))) * dot));
              for (int64_t c = 0; c < s.hidden; ++c) want[c] += value * weight_value(s.down.view, c, n);
            }
            for (int64_t c = 0; c < s.hidden; ++c)
              ASSERT_NEAR(out[r * s.hidden + c], want[c], bf16 ? 0.06 : 3e-3) << "row " << r << " column " << c;
          }
        }
}

// A weight and its values [rows, cols].
struct WithValues {
  SparseWeight weight;
  std::vector<double> values;
  explicit WithValues(SparseWeight w) : weight(std::move(w)) {
    for (int64_t r = 0; r < weight.view.rows; ++r)
      for (int64_t c = 0; c < weight.view.cols; ++c) values.push_back(weight_value(weight.view, r, c));
  }
};

constexpr DType kSparseTypes[] = {DType::kF32,  DType::kBF16, DType::kQ8_0,   DType::kQ4_0,
                                  DType::kQ4_1, DType::kQ5_0, DType::kQ5_1,   DType::kQ4_K,
                                  DType::kQ5_K, DType::kQ6_K, DType::kIQ4_NL, DType::kIQ4_XS};

// Each type of `up` with each of `down`. What values lose in int8 is half a code of 127 per input, so a hundredth of
// the terms' sizes is plenty.
TEST(SparseFeedForward, QuantizedIsTheFormulaOnAnyNumberOfThreads) {
  const auto hidden_of = [](DType up) { return is_file_type(up) ? 256 : 200; };
  const auto ffn_of = [](DType down) { return is_file_type(down) ? 512 : 300; };
  // Packed once for each type and each extent that the other one's type gives.
  std::map<std::pair<DType, int64_t>, WithValues> ups, downs;
  const auto packed = [](auto& made, DType type, int64_t key, auto make) -> const WithValues& {
    auto at = made.find({type, key});
    if (at == made.end()) at = made.emplace(std::pair{type, key}, WithValues(make())).first;
    return at->second;
  };
  for (DType up : kSparseTypes)
    for (DType down : kSparseTypes) {
      if (!has_codes(up) && !has_codes(down)) continue;
      if ((is_file_type(up) || is_file_type(down)) && up != down && (up != DType::kQ8_0 && down != DType::kQ8_0))
        continue;
      const int64_t hidden = hidden_of(up), ffn = ffn_of(down);
      const WithValues& u = packed(ups, up, ffn, [&] { return up_of(up, hidden, ffn); });
      const WithValues& d = packed(downs, down, hidden, [&] { return down_of(down, hidden, ffn); });
      for (float density : {0.0f, 0.05f, 1.0f})
        for (int64_t rows : {1, 3, 40}) {
          const SparseInput in(rows, hidden, ffn, density);
          const std::vector<float> out = same_on_all_threads(
              static_cast<size_t>(rows * hidden),
              [&](Context& ctx, std::vector<float>& o) { in.run(ctx, u.weight.view, d.weight.view, 0, rows, o); });
          for (int64_t r = 0; r < rows; r += 9) {
            std::vector<double> want(static_cast<size_t>(hidden)), size = want;
            for (int64_t n = 0; n < ffn; ++n) {
              const double g = in.gate[r * ffn + n];
              if (g == 0) continue;
              double dot = 0, dot_size = 0;
              for (int64_t k = 0; k < hidden; ++k) {
                const double term = double{in.x[r * hidden + k]} * u.values[static_cast<size_t>(n * hidden + k)];
                dot += term, dot_size += std::fabs(term);
              }
              const double gelu = g / (1 + std::exp(-1.5957691216057308 * (g + 0.044715 * g * g * g)));
              for (int64_t c = 0; c < hidden; ++c) {
                const double w = d.values[static_cast<size_t>(c * ffn + n)];
                want[c] += gelu * dot * w, size[c] += gelu * dot_size * std::fabs(w);
              }
            }
            for (int64_t c = 0; c < hidden; ++c)
              ASSERT_NEAR(out[r * hidden + c], want[c], size[c] * 0.01)
                  << dtype_name(up) << " " << dtype_name(down) << " row " << r << " column " << c << " density "
                  << density;
          }
        }
    }
}

// The best table and the reference: one expression, so the same bits.
TEST(SparseFeedForward, IsTheReference) {
  for (DType dtype : kSparseTypes)
    for (float density : {0.05f, 1.0f}) {
      const int64_t hidden = is_file_type(dtype) ? 512 : 300;
      const SparseCase s(dtype, 5, hidden, is_file_type(dtype) ? 768 : 200, density);
      TestContext best(2), reference(2, kReferenceKernels);
      std::vector<float> got(static_cast<size_t>(5 * hidden)), want = got;
      s.run(best, 0, 5, got), s.run(reference, 0, 5, want);
      EXPECT_THAT(got, SameBits(want)) << dtype_name(dtype);
    }
}

// Few rows take several groups at once, many one; rows beyond 2^22 / ffn go in blocks: the same bits.
TEST(SparseFeedForward, ARowIsTheSameAloneAndAmongOthers) {
  for (DType dtype : kSparseTypes) {
    if (dtype == DType::kF32) continue;
    const int64_t hidden = is_file_type(dtype) ? 256 : 96;
    const SparseCase s(dtype, 512, hidden, is_file_type(dtype) ? 512 : 500, 0.1f);
    TestContext context(2);
    std::vector<float> all(static_cast<size_t>(512 * hidden));
    s.run(context, 0, 512, all);
    for (int64_t count : {1, 7, 16, 31, 32, 33})
      for (int64_t r = 0; r + count <= 512; r += 67) {
        std::vector<float> some(static_cast<size_t>(count * hidden));
        s.run(context, r, count, some);
        EXPECT_THAT(some, SameBits(std::vector<float>(all.begin() + r * hidden, all.begin() + (r + count) * hidden)))
            << dtype_name(dtype) << ", " << count << " rows from " << r;
      }
  }
}

TEST(SparseFeedForward, ManyRowsGoInBlocks) {
  const SparseCase s(DType::kQ4_0, 600, 64, 8192, 0.002f);
  TestContext context(2);
  std::vector<float> all(600 * 64), last(2 * 64);
  s.run(context, 0, 600, all), s.run(context, 598, 2, last);
  EXPECT_THAT(last, SameBits(std::vector<float>(all.end() - 2 * 64, all.end())));
}

// A value that is not finite makes its own row NaN and no other.
TEST(SparseFeedForward, NaNStaysInItsRow) {
  for (DType dtype : kSparseTypes) {
    if (!has_codes(dtype)) continue;
    const int64_t hidden = is_file_type(dtype) ? 256 : 96, ffn = 256;
    SparseCase s(dtype, 3, hidden, ffn, 0.1f);
    TestContext context(2);
    std::vector<float> clean(static_cast<size_t>(3 * hidden)), out = clean;
    s.run(context, 0, 3, clean);
    for (const bool in_gate : {true, false}) {
      SparseCase broken(dtype, 3, hidden, ffn, 0.1f);
      (in_gate ? broken.gate[static_cast<size_t>(ffn + 17)] : broken.x[static_cast<size_t>(hidden + 17)]) = NAN;
      broken.run(context, 0, 3, out);
      for (int64_t i = 0; i < hidden; ++i) {
        EXPECT_EQ(out[i], clean[i]);
        EXPECT_TRUE(std::isnan(out[hidden + i])) << dtype_name(dtype);
        EXPECT_EQ(out[2 * hidden + i], clean[2 * hidden + i]);
      }
    }
  }
}

TEST(SparseFeedForward, ErrorsNameWhatWasWanted) {
  const SparseCase s(DType::kQ4_0, 2, 64, 96, 0.1f);
  TestContext context(1);
  std::vector<float> out(2 * 64);
  EXPECT_THROW(sparse_feed_forward(context, matrix(s.x, 2, 64), matrix(s.gate, 2, 96), s.down.view, s.down.view,
                                   matrix(out, 2, 64)),
               Error);
  EXPECT_THROW(sparse_feed_forward(context, matrix(s.x, 2, 64), matrix(s.gate, 2, 95), s.up.view, s.down.view,
                                   matrix(out, 2, 64)),
               Error);
  EXPECT_THROW(sparse_feed_forward(context, matrix(s.x, 1, 64), matrix(s.gate, 2, 96), s.up.view, s.down.view,
                                   matrix(out, 2, 64)),
               Error);
}

}  // namespace
}  // namespace g3n::test
