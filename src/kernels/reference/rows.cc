// Row-wise kernels of the reference table: norms, softmax, RoPE, depthwise convolution.
#include <cmath>
#include <limits>

#include "kernels/reference/reference.h"
#include "kernels/reference/scalar_math.h"

namespace g3n::reference {
namespace {

float mean_square(const float* x, int64_t cols) { return dot(x, x, cols) / static_cast<float>(cols); }

}  // namespace

float dot(const float* a, const float* b, int64_t n) {
  Lanes sum;
  for (int64_t i = 0; i < n; ++i) sum.lane[i % 16] = std::fma(a[i], b[i], sum.lane[i % 16]);
  return sum.sum();
}

void rms_norm(const float* x, const float* weight, float* out, int64_t rows, int64_t cols, float eps) {
  for (int64_t r = 0; r < rows; ++r, x += cols, out += cols) {
    const float scale = 1.0f / std::sqrt(mean_square(x, cols) + eps);
    for (int64_t i = 0; i < cols; ++i) out[i] = weight ? x[i] * scale * weight[i] : x[i] * scale;
  }
}

void match_magnitude(const float* x, const float* target, float* out, int64_t cols, float floor) {
  const float want = std::sqrt(mean_square(target, cols)), have = std::sqrt(max2(mean_square(x, cols), floor));
  for (int64_t i = 0; i < cols; ++i) out[i] = x[i] * want / have;
}

void gaussian_topk(float* x, int64_t cols, float z) {
  Lanes sum, squares;
  for (int64_t i = 0; i < cols; ++i) sum.lane[i % 16] += x[i];
  const float mean = sum.sum() / static_cast<float>(cols);
  for (int64_t i = 0; i < cols; ++i) squares.lane[i % 16] = std::fma(x[i] - mean, x[i] - mean, squares.lane[i % 16]);
  const float cutoff = mean + z * std::sqrt(squares.sum() / static_cast<float>(cols));
  for (int64_t i = 0; i < cols; ++i) x[i] = max2(0.0f, x[i] - cutoff);
}

void softmax(float* x, int64_t cols) {
  float top = -std::numeric_limits<float>::infinity();
  for (int64_t i = 0; i < cols; ++i) top = max2(top, x[i]);
  Lanes sum;
  for (int64_t i = 0; i < cols; ++i) sum.lane[i % 16] += x[i] = exp1(x[i] - top);
  const float total = sum.sum();
  for (int64_t i = 0; i < cols; ++i) x[i] /= total;
}

void rope(float* x, const float* cos, const float* sin, int64_t half) {
  for (int64_t i = 0; i < half; ++i) {
    const float a = x[i], b = x[i + half];
    x[i] = std::fma(a, cos[i], -(b * sin[i]));
    x[i + half] = std::fma(b, cos[i], a * sin[i]);
  }
}

// Taps ascending by (ky, kx) from +0.
void depthwise_conv(const DepthwiseConv& c) {
  for (int64_t ox = 0; ox < c.out_width; ++ox)
    for (int64_t ch = 0; ch < c.channels; ++ch) {
      float sum = 0.0f;
      for (int64_t ky = 0; ky < c.kernel_h; ++ky)
        for (int64_t kx = 0; kx < c.kernel_w; ++kx) {
          const int64_t y = c.out_row * c.stride_h - c.pad_top + ky, x = ox * c.stride_w - c.pad_left + kx;
          if (y < 0 || y >= c.height || x < 0 || x >= c.width) continue;
          sum = std::fma(c.x[(y * c.width + x) * c.channels + ch], c.weight[(ky * c.kernel_w + kx) * c.channels + ch],
                         sum);
        }
      c.out[ox * c.channels + ch] = sum;
    }
}

}  // namespace g3n::reference
