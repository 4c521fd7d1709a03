// Row-wise ops, AltUp's mixes, convolutions and packing: against plain loops, on several threads, on strided views, and
// their errors.
#include <cmath>

#include "g3n/error.h"
#include "kernels/ops_cases.h"

namespace g3n::test {
namespace {

TEST(RowOps, AreTheSameOnAnyNumberOfThreads) {
  const int64_t rows = 37, cols = 1000;
  const std::vector<float> a = normal(rows * cols, 1), b = normal(rows * cols, 2), row = normal(cols, 3);
  const View<const float, 2> va = matrix(a, rows, cols), vb = matrix(b, rows, cols);
  const View<const float, 1> weight = as_view(row.data(), cols), head = as_view(row.data(), 250);
  const auto check = [&](auto f) {
    return same_on_all_threads(a.size(), [&](Context& ctx, std::vector<float>& o) { f(ctx, matrix(o, rows, cols)); });
  };
  const std::vector<float> sum = check([&](Context& ctx, View<float, 2> o) { add(ctx, va, vb, o); });
  EXPECT_EQ(sum[777], a[777] + b[777]);
  const std::vector<float> scaled = check([&](Context& ctx, View<float, 2> o) { mul_row_add(ctx, va, weight, vb, o); });
  EXPECT_EQ(scaled[5 * cols + 3], std::fma(a[5 * cols + 3], row[3], b[5 * cols + 3]));
  check([&](Context& ctx, View<float, 2> o) { mul_row_add(ctx, va, weight, {}, o); });
  check([&](Context& ctx, View<float, 2> o) { gelu_mul(ctx, va, vb, o); });
  check([&](Context& ctx, View<float, 2> o) { match_magnitude(ctx, va, vb, 1e-5f, o); });
  check([&](Context& ctx, View<float, 2> o) { copy(ctx, va, o), gaussian_topk(ctx, o, 1.0f); });
  // By heads of 250: each its own mean.
  const std::vector<float> norm = check([&](Context& ctx, View<float, 2> o) { rms_norm(ctx, va, head, 1e-6f, o); });
  double squares = 0;
  for (int64_t i = 0; i < 250; ++i) squares += double{a[2 * cols + 250 + i]} * a[2 * cols + 250 + i];
  EXPECT_NEAR(norm[2 * cols + 250 + 9], a[2 * cols + 259] / std::sqrt(squares / 250 + 1e-6) * row[9], 1e-5);
  check([&](Context& ctx, View<float, 2> o) { rms_norm(ctx, va, {}, 1e-6f, o, 125); });
}

TEST(RowOps, WorkOnStridedViewsAndInPlace) {
  const std::vector<float> start = normal(20 * 64, 4);
  std::vector<float> data = start;
  TestContext context(2);
  const View<float, 2> middle{data.data() + 16, {20, 30}, {64, 1}};
  add(context, middle, middle, middle);
  for (int64_t i = 0; i < 20 * 64; ++i) ASSERT_EQ(data[i], i % 64 >= 16 && i % 64 < 46 ? 2 * start[i] : start[i]);
}

TEST(RowOps, ErrorsNameTheView) {
  std::vector<float> a(12), b(12);
  TestContext context(1);
  EXPECT_THROW(add(context, matrix(a, 3, 4), matrix(b, 4, 3), matrix(a, 3, 4)), Error);
  EXPECT_THROW(rms_norm(context, matrix(a, 3, 4), as_view<const float>(b.data(), 3), 1e-6f, matrix(b, 3, 4)), Error);
  EXPECT_THROW(mul_row(context, matrix(a, 3, 4), as_view<const float>(b.data(), 3), matrix(b, 3, 4)), Error);
}

TEST(RowOps, RopeRotatesEveryHead) {
  const int64_t tokens = 3, heads = 2, half = 5;
  std::vector<float> x = normal(tokens * heads * 2 * half, 5), before = x, cos(tokens * half), sin(tokens * half);
  for (size_t i = 0; i < cos.size(); ++i)
    cos[i] = std::cos(0.3f * static_cast<float>(i)), sin[i] = std::sin(0.3f * static_cast<float>(i));
  TestContext context(2);
  rope(context, matrix(x, tokens, heads * 2 * half), matrix(cos, tokens, half), matrix(sin, tokens, half));
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t i = 0; i < half; ++i) {
        const int64_t at = (t * heads + h) * 2 * half + i;
        EXPECT_NEAR(x[at], before[at] * cos[t * half + i] - before[at + half] * sin[t * half + i], 1e-6);
        EXPECT_NEAR(x[at + half], before[at + half] * cos[t * half + i] + before[at] * sin[t * half + i], 1e-6);
      }
}

TEST(AltUp, PredictCorrectAndMean) {
  const int64_t streams = 3, tokens = 9, hidden = 70, plane = tokens * hidden;
  const std::vector<float> h = normal(streams * plane, 6), mix = normal(tokens * streams * streams, 7),
                           gain = normal(tokens * streams, 8), act = normal(plane, 9);
  const std::vector<float> predicted = same_on_all_threads(h.size(), [&](Context& ctx, std::vector<float>& o) {
    altup_predict(ctx, cube(h, streams, tokens, hidden), matrix(mix, tokens, streams * streams),
                  cube(o, streams, tokens, hidden));
  });
  const std::vector<float> corrected = same_on_all_threads(h.size(), [&](Context& ctx, std::vector<float>& o) {
    o = h;  // in place
    altup_correct(ctx, cube(o, streams, tokens, hidden), matrix(gain, tokens, streams), matrix(act, tokens, hidden), 1,
                  cube(o, streams, tokens, hidden));
  });
  const std::vector<float> mean = same_on_all_threads(act.size(), [&](Context& ctx, std::vector<float>& o) {
    mean_planes(ctx, cube(h, streams, tokens, hidden), matrix(o, tokens, hidden));
  });
  for (int64_t i = 0; i < streams; ++i)
    for (int64_t at = 0; at < plane; ++at) {
      const int64_t t = at / hidden;
      double want = h[i * plane + at], sum = 0;
      for (int64_t j = 0; j < streams; ++j)
        want += double{mix[t * 9 + i * 3 + j]} * h[j * plane + at], sum += h[j * plane + at];
      ASSERT_NEAR(predicted[i * plane + at], want, 1e-5);
      ASSERT_NEAR(corrected[i * plane + at], h[i * plane + at] + (gain[t * 3 + i] + 1.0) * (act[at] - h[plane + at]),
                  1e-5);
      ASSERT_NEAR(mean[at], sum / 3, 1e-6);
    }
}

TEST(Convolution, FullOnesMatchPlainLoops) {
  struct Case {
    int64_t height, width, channels, outputs, kernel, stride, pad;
  };
  for (const Case& c : {Case{9, 7, 3, 20, 3, 2, 1},
                        {12, 11, 17, 33, 3, 1, 1},
                        {5, 6, 8, 16, 1, 1, 0},
                        {1, 1, 4, 5, 3, 2, 1},
                        {8, 8, 40, 24, 5, 2, 2}})
    for (const auto& [dtype, compute] : {std::pair{DType::kBF16, ComputeType::kF32},
                                         {DType::kBF16, ComputeType::kBF16},
                                         {DType::kQ8_0, ComputeType::kF32}}) {
      const ConvShape shape{c.kernel,
                            c.kernel,
                            c.stride,
                            c.stride,
                            c.pad,
                            c.pad,
                            (c.height + c.stride - 1) / c.stride,
                            (c.width + c.stride - 1) / c.stride};
      const int64_t inputs = c.kernel * c.kernel * c.channels, pixels = shape.out_h * shape.out_w;
      const PackedWeight w(dtype, Layout::kPanels, c.outputs, inputs, 10);
      const std::vector<float> x = normal(static_cast<size_t>(c.height * c.width * c.channels), 11);
      const std::vector<float> out = same_on_all_threads(
          static_cast<size_t>(pixels * c.outputs),
          [&](Context& ctx, std::vector<float>& o) {
            conv2d(ctx, cube(x, c.height, c.width, c.channels), shape, w.view, matrix(o, pixels, c.outputs));
          },
          compute);
      for (int64_t p = 0; p < pixels; ++p)
        for (int64_t o = 0; o < c.outputs; ++o) {
          double want = 0;
          for (int64_t i = 0; i < inputs; ++i) {
            const int64_t y = p / shape.out_w * c.stride - c.pad + i / c.channels / c.kernel,
                          xx = p % shape.out_w * c.stride - c.pad + i / c.channels % c.kernel;
            if (y < 0 || y >= c.height || xx < 0 || xx >= c.width) continue;
            const float v = x[(y * c.width + xx) * c.channels + i % c.channels];
            want +=
                double{compute == ComputeType::kBF16 ? bf16_to_f32(f32_to_bf16(v)) : v} * weight_value(w.view, o, i);
          }
          ASSERT_NEAR(out[p * c.outputs + o], want,
                      dtype == DType::kQ8_0 ? 0.6 : 3e-4);  // int8 inputs, sums of up to 1000
        }
    }
}

TEST(Convolution, DepthwiseOnesMatchPlainLoops) {
  const int64_t height = 11, width = 9, channels = 37, kernel = 5, stride = 2;
  const ConvShape shape{kernel, kernel, stride, stride, 1, 2, 6, 5};
  const std::vector<float> x = normal(height * width * channels, 12), w = normal(kernel * kernel * channels, 13);
  const std::vector<float> out = same_on_all_threads(6 * 5 * channels, [&](Context& ctx, std::vector<float>& o) {
    depthwise_conv2d(ctx, cube(x, height, width, channels), shape, matrix(w, kernel * kernel, channels),
                     cube(o, 6, 5, channels));
  });
  for (int64_t oy = 0; oy < 6; ++oy)
    for (int64_t ox = 0; ox < 5; ++ox)
      for (int64_t ch = 0; ch < channels; ++ch) {
        double want = 0;
        for (int64_t i = 0; i < kernel * kernel; ++i) {
          const int64_t y = oy * stride - 1 + i / kernel, xx = ox * stride - 2 + i % kernel;
          if (y >= 0 && y < height && xx >= 0 && xx < width)
            want += double{x[(y * width + xx) * channels + ch]} * w[i * channels + ch];
        }
        ASSERT_NEAR(out[(oy * 5 + ox) * channels + ch], want, 1e-5);
      }
}

TEST(Pack, EveryLayoutReadsBack) {
  for (int64_t rows : {1, 15, 16, 40})
    for (int64_t cols : {1, 32, 33, 70})
      for (DType source : {DType::kF32, DType::kBF16, DType::kF16})
        for (DType dtype : {DType::kF32, DType::kBF16})
          for (Layout layout : {Layout::kPanels, Layout::kRows, Layout::kNeurons}) {
            std::vector<std::byte> file(static_cast<size_t>(rows * cols * dtype_bytes(source)) +
                                        1);  // misaligned on purpose
            std::vector<float> want;
            for (int64_t i = 0; i < rows * cols; ++i) {
              const float value = static_cast<float>(i % 13 - 6);  // exact in all types
              const bf16_t bf16 = f32_to_bf16(value);
              static constexpr uint16_t kHalves[] = {0xc600, 0xc500, 0xc400, 0xc200, 0xc000, 0xbc00, 0,
                                                     0x3c00, 0x4000, 0x4200, 0x4400, 0x4500, 0x4600};
              const void* from = source == DType::kF32    ? static_cast<const void*>(&value)
                                 : source == DType::kBF16 ? &bf16
                                                          : &kHalves[i % 13];
              std::memcpy(file.data() + 1 + i * dtype_bytes(source), from, static_cast<size_t>(dtype_bytes(source)));
              want.push_back(value);
            }
            WeightView view{dtype, layout, rows, cols, packed_step_bytes(dtype, layout, rows, cols), nullptr};
            std::vector<std::byte> packed(static_cast<size_t>(packed_bytes(dtype, layout, rows, cols)),
                                          std::byte{0xff});
            ThreadPool pool(2);
            pack_weight(pool, {source, file.data() + 1}, view, packed.data());
            view.data = packed.data();
            double sum = 0;
            for (int64_t r = 0; r < rows; ++r)
              for (int64_t c = 0; c < cols; ++c) {
                ASSERT_EQ(weight_value(view, r, c), want[r * cols + c]);
                sum += std::fabs(want[r * cols + c]);
              }
            double stored = 0;  // padding is zero
            for (size_t i = 0; i < packed.size(); i += static_cast<size_t>(dtype_bytes(dtype)))
              stored += std::fabs(weight_value({dtype, Layout::kRows, 1, 1, 0, packed.data() + i}, 0, 0));
            EXPECT_EQ(stored, sum);
          }
}

TEST(Pack, RefusesToLosePrecision) {
  const float value = 1.001f;
  std::vector<std::byte> out(static_cast<size_t>(packed_bytes(DType::kBF16, Layout::kRows, 1, 1)));
  ThreadPool pool(1);
  EXPECT_THROW(pack_weight(pool, {DType::kF32, reinterpret_cast<const std::byte*>(&value)},
                           {DType::kBF16, Layout::kRows, 1, 1, 64, nullptr}, out.data()),
               Error);
}

TEST(Dispatch, ListsTablesAndObeysTheEnvironment) {
  ASSERT_GE(runnable_kernels().count, 1);
  EXPECT_EQ(all_kernels().tables[0], &kReferenceKernels);
  for (int i = 0; i < runnable_kernels().count; ++i) {
    setenv("G3N_ISA", runnable_kernels().tables[i]->name, 1);
    EXPECT_EQ(&best_kernels(), runnable_kernels().tables[i]);
  }
  setenv("G3N_ISA", "sse9", 1);
  EXPECT_THROW(best_kernels(), Error);
  unsetenv("G3N_ISA");
  EXPECT_EQ(&best_kernels(), runnable_kernels().tables[runnable_kernels().count - 1]);
}

}  // namespace
}  // namespace g3n::test
