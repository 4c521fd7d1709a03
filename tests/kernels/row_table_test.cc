// Row-wise and element-wise kernels of every table against the reference, bit for bit, in guarded buffers; the
// functions against doubles.
#include <cmath>
#include <cstring>

#include "kernels/table_cases.h"

namespace g3n::test {
namespace {

struct Rows : TableTest {
  static std::string kernels_of(const KernelTable& t) {
    return kernels_between(t, &KernelTable::rms_norm, &KernelTable::depthwise_conv);
  }
  // Runs f(table, out) for the table and the reference on outputs that start as `start`.
  template <typename F>
  void compare(const std::vector<float>& start, F f, const char* what) {
    Guarded<float> got(start), want(start);
    f(table, got.data()), f(reference, want.data());
    ASSERT_THAT(got.values(), SameBits(want.values())) << what << " of " << start.size();
  }
};

TEST_P(Rows, ElementByElementMatchesTheReference) {
  for (int64_t n : kLengths) {
    std::vector<float> values = normal(static_cast<size_t>(n), 1, 3.0f);
    if (n >= 16) values[2] = INFINITY, values[3] = -INFINITY, values[5] = NAN, values[7] = -0.0f;
    const Guarded<float> a(values), b(normal(static_cast<size_t>(n), 2)), c(normal(static_cast<size_t>(n), 3));
    const std::vector<float> nan(static_cast<size_t>(n), NAN);
    using T = const KernelTable&;
    compare(
        nan, [&](T t, float* out) { t.add(a.data(), b.data(), out, n); }, "add");
    compare(
        nan, [&](T t, float* out) { t.add3_scaled(a.data(), b.data(), c.data(), 1.7f, out, n); }, "add3_scaled");
    for (int64_t streams : {1, 3, 4, 5}) {  // in place
      const std::vector<float> coefs = normal(static_cast<size_t>(streams * streams), 21);
      for (int64_t which = 0; which < streams; ++which)
        compare(
            nan,
            [&](T t, float* out) {
              std::vector<std::vector<float>> h;
              for (int64_t s = 0; s < streams; ++s)
                h.push_back(normal(static_cast<size_t>(n), static_cast<uint32_t>(30 + s)));
              std::vector<float*> rows;
              for (auto& stream : h) rows.push_back(stream.data());
              t.mix_streams(rows.data(), streams, coefs.data(), rows.data(), n);
              std::copy_n(rows[static_cast<size_t>(which)], n, out);
            },
            "mix_streams");
    }
    compare(
        nan, [&](T t, float* out) { t.add_scaled(a.data(), b.data(), 0.3f, out, n); }, "add_scaled");
    compare(
        nan, [&](T t, float* out) { t.mul(a.data(), b.data(), out, n); }, "mul");
    compare(
        nan, [&](T t, float* out) { t.mul_add(a.data(), b.data(), c.data(), out, n); }, "mul_add");
    compare(
        nan, [&](T t, float* out) { t.mul_add(a.data(), b.data(), nullptr, out, n); }, "mul_add without c");
    compare(
        nan, [&](T t, float* out) { t.scale(a.data(), 0.7f, out, n); }, "scale");
    compare(
        nan, [&](T t, float* out) { t.gelu(a.data(), out, n); }, "gelu");
    compare(
        nan, [&](T t, float* out) { t.gelu_mul(a.data(), b.data(), out, n); }, "gelu_mul");
    compare(
        nan, [&](T t, float* out) { t.silu(a.data(), out, n); }, "silu");
    compare(
        nan, [&](T t, float* out) { t.sigmoid_mul(b.data(), a.data(), out, n); }, "sigmoid_mul");
    compare(
        nan, [&](T t, float* out) { t.tanh_scaled(a.data(), 0.2f, 30.0f, out, n); }, "tanh_scaled");
    compare(
        nan, [&](T t, float* out) { t.clamp(a.data(), 1.5f, out, n); }, "clamp");
    compare(
        nan, [&](T t, float* out) { t.relu(a.data(), out, n); }, "relu");
    compare(
        nan, [&](T t, float* out) { t.exp(a.data(), out, n); }, "exp");
    compare(
        b.values(), [&](T t, float* out) { t.gelu(out, out, n); }, "gelu in place");
  }
}

TEST_P(Rows, ReductionsMatchTheReference) {
  for (int64_t n : kLengths) {
    const Guarded<float> a(normal(static_cast<size_t>(3 * n), 4)), weight(normal(static_cast<size_t>(n), 5)),
        target(normal(static_cast<size_t>(n), 6));
    const std::vector<float> x(a.data() + 2 * n, a.data() + 3 * n), nan(static_cast<size_t>(3 * n), NAN);
    using T = const KernelTable&;
    compare(
        nan, [&](T t, float* out) { t.rms_norm(a.data(), weight.data(), out, 3, n, 1e-6f); }, "rms_norm");
    compare(
        nan, [&](T t, float* out) { t.rms_norm(a.data(), nullptr, out, 3, n, 1e-6f); }, "rms_norm without weight");
    compare(
        x, [&](T t, float* out) { t.match_magnitude(out, target.data(), out, n, 1e-5f); }, "match_magnitude");
    compare(
        std::vector<float>(static_cast<size_t>(n), 1e-4f),
        [&](T t, float* out) { t.match_magnitude(out, target.data(), out, n, 1e-5f); },
        "match_magnitude under the floor");
    compare(
        x, [&](T t, float* out) { t.gaussian_topk(out, n, 1.2f); }, "gaussian_topk");
    compare(
        x, [&](T t, float* out) { t.softmax(out, n); }, "softmax");
    compare(
        {0.0f}, [&](T t, float* out) { *out = t.dot(a.data() + 2 * n, weight.data(), n); }, "dot");
    const Guarded<float> cos(normal(static_cast<size_t>(n), 7)), sin(normal(static_cast<size_t>(n), 8));
    compare(
        normal(static_cast<size_t>(2 * n), 9), [&](T t, float* out) { t.rope(out, cos.data(), sin.data(), n); },
        "rope");
  }
}

TEST_P(Rows, DepthwiseConvolutionMatchesTheReference) {
  for (int64_t channels : {1, 15, 16, 17, 64, 100, 145})
    for (int64_t kernel : {1, 3, 5})
      for (int64_t stride : {1, 2}) {
        const int64_t height = 7, width = 6, out_width = (width + stride - 1) / stride, pad = kernel / 2;
        const Guarded<float> x(normal(static_cast<size_t>(height * width * channels), 10));
        const Guarded<float> weight(normal(static_cast<size_t>(kernel * kernel * channels), 11));
        for (int64_t row = 0; row < (height + stride - 1) / stride; ++row)
          compare(
              std::vector<float>(static_cast<size_t>(out_width * channels), NAN),
              [&](const KernelTable& t, float* out) {
                t.depthwise_conv({x.data(), height, width, channels, weight.data(), kernel, kernel, stride, stride, pad,
                                  pad, row, out_width, out});
              },
              "depthwise_conv");
      }
}

// Distance to the double result in units of the last place of a float there.
double ulps(float got, double want) {
  if (std::isinf(got) && std::fabs(want) >= 3.4028235677973366e38) return 0;
  int exponent;
  std::frexp(want, &exponent);
  return std::fabs(got - want) / std::ldexp(1.0, std::max(exponent - 24, -149));
}

// Every 499th float (a prime: all exponents, many mantissas); all of them were tried once.
template <typename Kernel, typename Exact>
void expect_two_ulps(Kernel kernel, Exact exact, const char* name) {
  double worst = 0;
  float at = 0;
  std::vector<float> x, out;
  const auto check = [&] {
    out.resize(x.size());
    kernel(x.data(), out.data(), static_cast<int64_t>(x.size()));
    for (size_t i = 0; i < x.size(); ++i) {
      const double off = ulps(out[i], exact(static_cast<double>(x[i])));
      if (!(off <= worst)) worst = off, at = x[i];
    }
    x.clear();
  };
  for (uint64_t bits = 0; bits < (uint64_t{1} << 32); bits += 499) {
    const uint32_t low = static_cast<uint32_t>(bits);
    float value;
    std::memcpy(&value, &low, 4);
    if (!std::isfinite(value)) continue;
    x.push_back(value);
    if (x.size() == 4096) check();
  }
  check();
  EXPECT_LE(worst, 2.0) << name << " at " << std::hexfloat << at;
}

TEST_P(Rows, FunctionsAreWithinTwoUlps) {
  expect_two_ulps(
      table.exp, [](double x) { return std::exp(x); }, "exp");
  expect_two_ulps([&](const float* x, float* out, int64_t n) { table.tanh_scaled(x, 1.0f, 1.0f, out, n); },
                  [](double x) { return std::tanh(x); }, "tanh");
  expect_two_ulps(
      table.silu, [](double x) { return x / (1 + std::exp(-x)); }, "silu");
  const std::vector<float> ones(4096, 1.0f);
  expect_two_ulps([&](const float* x, float* out, int64_t n) { table.sigmoid_mul(ones.data(), x, out, n); },
                  [](double x) { return 1 / (1 + std::exp(-x)); }, "sigmoid");
  // 0.5 x (1 + tanh u) = x / (1 + exp(-2u)), which doubles can do.
  expect_two_ulps(
      table.gelu, [](double x) { return x / (1 + std::exp(-1.5957691216057308 * (x + 0.044715 * x * x * x))); },
      "gelu");
}

G3N_FOR_TABLES(Rows);

TEST(ReferenceRows, AreWhatTheirNamesSay) {
  const int64_t n = 40;
  std::vector<float> x = normal(n, 12), out(n);
  double squares = 0, sum = 0, exps = 0;
  for (float v : x) squares += double{v} * v, sum += v, exps += std::exp(double{v});
  kReferenceKernels.rms_norm(x.data(), nullptr, out.data(), 1, n, 1e-3f);
  for (int64_t i = 0; i < n; ++i) EXPECT_NEAR(out[i], x[i] / std::sqrt(squares / n + 1e-3), 1e-5);
  std::vector<float> soft = x, top = x;
  kReferenceKernels.softmax(soft.data(), n);
  for (int64_t i = 0; i < n; ++i) EXPECT_NEAR(soft[i], std::exp(double{x[i]}) / exps, 1e-6);
  kReferenceKernels.gaussian_topk(top.data(), n, 0.5f);
  const double mean = sum / n, cut = mean + 0.5 * std::sqrt(squares / n - mean * mean);
  for (int64_t i = 0; i < n; ++i) EXPECT_NEAR(top[i], std::max(0.0, x[i] - cut), 1e-5);
}

}  // namespace
}  // namespace g3n::test
