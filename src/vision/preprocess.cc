// Separable triangle filter on uint8: int16 weights with one shift per axis, and a uint8 picture between the horizontal
// and the vertical pass. The order of operations decides bits here; every formula is spec/vision.md 1, step 2.
#include "vision/preprocess.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

#include "g3n/error.h"

namespace g3n {
namespace {

constexpr int kMaxShift = 22;

// One axis: output o is the sum over i of weights[o * stride + i] * in[first[o] + i], i < count[o], shifted right.
struct Axis {
  int shift = 0;
  int stride = 0;  // room per output: the largest count
  std::vector<int> first, count;
  std::vector<std::int16_t> weights;  // [out, stride]
};

// Weights of one output in float64, normalised to a sum of 1; returns the first input.
int triangle_weights(int in, double scale, int o, std::vector<double>* weights) {
  const double support = std::max(1.0, scale), centre = (o + 0.5) * scale;
  const int first = std::max(0, static_cast<int>(std::floor(centre - support + 0.5)));
  const int last = std::min(in, static_cast<int>(std::floor(centre + support + 0.5)));
  weights->clear();
  double sum = 0;
  for (int i = first; i < last; ++i) {
    weights->push_back(std::max(0.0, 1.0 - std::abs(i + 0.5 - centre) / support));
    sum += weights->back();
  }
  for (double& w : *weights) w /= sum;
  return first;
}

Axis make_axis(int in, int out) {
  Axis axis;
  const double scale = static_cast<double>(in) / out;
  axis.first.resize(out);
  axis.count.resize(out);
  std::vector<double> row;
  double largest = 0;
  for (int o = 0; o < out; ++o) {
    axis.first[o] = triangle_weights(in, scale, o, &row);
    axis.count[o] = static_cast<int>(row.size());
    axis.stride = std::max(axis.stride, axis.count[o]);
    for (const double w : row) largest = std::max(largest, w);
  }
  while (axis.shift < kMaxShift && static_cast<int>(0.5 + largest * (1 << (axis.shift + 1))) < 32768) ++axis.shift;
  axis.weights.resize(static_cast<std::size_t>(out) * axis.stride);
  for (int o = 0; o < out; ++o) {
    triangle_weights(in, scale, o, &row);
    std::int16_t* weights = axis.weights.data() + static_cast<std::size_t>(o) * axis.stride;
    for (std::size_t i = 0; i < row.size(); ++i)
      weights[i] = static_cast<std::int16_t>(0.5 + row[i] * (1 << axis.shift));
  }
  return axis;
}

std::uint8_t clamp_byte(int value) { return static_cast<std::uint8_t>(std::clamp(value, 0, 255)); }

// in: [rows, in_width, 3]; out: [rows, width, 3]
void resize_rows(const std::uint8_t* in, std::int64_t rows, int in_width, const Axis& axis, std::uint8_t* out) {
  const int width = static_cast<int>(axis.first.size());
  const int half = axis.shift > 0 ? 1 << (axis.shift - 1) : 0;
  for (std::int64_t y = 0; y < rows; ++y, in += 3 * static_cast<std::ptrdiff_t>(in_width)) {
    for (int o = 0; o < width; ++o, out += 3) {
      const std::uint8_t* pixel = in + 3 * static_cast<std::ptrdiff_t>(axis.first[o]);
      const std::int16_t* weight = axis.weights.data() + static_cast<std::size_t>(o) * axis.stride;
      int r = half, g = half, b = half;
      for (int i = 0; i < axis.count[o]; ++i, pixel += 3) {
        r += weight[i] * pixel[0];
        g += weight[i] * pixel[1];
        b += weight[i] * pixel[2];
      }
      out[0] = clamp_byte(r >> axis.shift);
      out[1] = clamp_byte(g >> axis.shift);
      out[2] = clamp_byte(b >> axis.shift);
    }
  }
}

// in: [in_height, row_bytes]; out: [height, row_bytes]. Runs along a row, so it vectorises.
void resize_columns(const std::uint8_t* in, std::ptrdiff_t row_bytes, const Axis& axis, std::uint8_t* out) {
  constexpr std::ptrdiff_t kStrip = 1024;  // sums of a strip stay in the first-level cache
  std::array<std::int32_t, kStrip> sums;
  const int half = axis.shift > 0 ? 1 << (axis.shift - 1) : 0;
  for (std::size_t o = 0; o < axis.first.size(); ++o, out += row_bytes) {
    for (std::ptrdiff_t start = 0; start < row_bytes; start += kStrip) {
      const std::ptrdiff_t count = std::min(kStrip, row_bytes - start);
      std::fill_n(sums.begin(), count, half);
      for (int i = 0; i < axis.count[o]; ++i) {
        const std::uint8_t* row = in + (axis.first[o] + i) * row_bytes + start;
        const std::int16_t weight = axis.weights[o * axis.stride + static_cast<std::size_t>(i)];
        for (std::ptrdiff_t x = 0; x < count; ++x)
          sums[static_cast<std::size_t>(x)] += weight * static_cast<std::int16_t>(row[x]);
      }
      for (std::ptrdiff_t x = 0; x < count; ++x)
        out[start + x] = clamp_byte(sums[static_cast<std::size_t>(x)] >> axis.shift);
    }
  }
}

void check_sizes(const Pixels& source, int width, int height) {
  if (width <= 0 || height <= 0) {
    throw Error(ErrorCode::kInvalidArgument, "resize_image: expected a positive size, found " + std::to_string(width) +
                                                 " x " + std::to_string(height));
  }
  const std::int64_t bytes = std::int64_t{3} * source.width * source.height;
  if (source.width > 0 && source.height > 0 && static_cast<std::int64_t>(source.rgb.size()) == bytes) return;
  throw Error(ErrorCode::kInvalidArgument, "pixels: expected 3 * width * height bytes for " +
                                               std::to_string(source.width) + " x " + std::to_string(source.height) +
                                               ", found " + std::to_string(source.rgb.size()));
}

}  // namespace

void check_image_side(int pixels) {
  if (pixels == 0 || (pixels >= kLeastImageSide && pixels <= kMostImageSide)) return;
  throw Error(ErrorCode::kInvalidArgument, "image size: expected 0 (the checkpoint's) or " +
                                               std::to_string(kLeastImageSide) + " to " +
                                               std::to_string(kMostImageSide) +
                                               " pixels a side, best a multiple of 256, got " + std::to_string(pixels));
}

Pixels resize_image(const Pixels& source, int width, int height) {
  check_sizes(source, width, height);
  std::vector<std::uint8_t> between;
  const std::uint8_t* rows = source.rgb.data();
  const std::ptrdiff_t row_bytes = std::ptrdiff_t{3} * width;
  if (width != source.width) {
    between.resize(static_cast<std::size_t>(row_bytes) * source.height);
    resize_rows(rows, source.height, source.width, make_axis(source.width, width), between.data());
    rows = between.data();
  }
  Pixels out;
  out.width = width;
  out.height = height;
  if (height == source.height) {
    out.rgb = width != source.width ? std::move(between) : source.rgb;
  } else {
    out.rgb.resize(static_cast<std::size_t>(row_bytes) * height);
    resize_columns(rows, row_bytes, make_axis(source.height, height), out.rgb.data());
  }
  return out;
}

void to_float(const Pixels& source, float scale, float* hwc) {
  for (std::size_t i = 0; i < source.rgb.size(); ++i) hwc[i] = static_cast<float>(source.rgb[i]) * scale;
}

}  // namespace g3n
