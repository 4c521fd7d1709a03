// Map: a channels-last feature map, and the arithmetic of SAME padding and of strips of its rows.
#pragma once
#include <algorithm>
#include <cstdint>

#include "core/context.h"
#include "kernels/ops.h"

namespace g3n {

struct Map {
  View<float, 2> x;  // [h*w, channels], contiguous
  int64_t h = 0, w = 0;

  int64_t channels() const { return x.dim[1]; }
  // Rows begin .. end of the map.
  Map rows(int64_t begin, int64_t end) const { return {x.slice(begin * w, (end - begin) * w), end - begin, w}; }
  View<const float, 3> image() const { return {x.data, {h, w, x.dim[1]}}; }  // [h, w, channels]
  View<float, 3> image() { return {x.data, {h, w, x.dim[1]}}; }
  View<const float, 3> planes() const {
    return {x.data, {x.dim[1], h, w}, {1, w * x.dim[1], x.dim[1]}};
  }  // as the goldens have it
};

// Uninitialised, until the enclosing ArenaScope ends.
inline Map scratch_map(Context& ctx, int64_t h, int64_t w, int64_t channels) {
  return {View<float, 2>(ctx.arena.take<float>(h * w * channels), {h * w, channels}), h, w};
}

// TensorFlow's SAME padding: the output has ceil(n / stride) values, the odd zero comes behind.
inline int64_t same_size(int64_t n, int64_t stride) { return (n + stride - 1) / stride; }
inline int64_t same_pad_before(int64_t n, int64_t kernel, int64_t stride) {
  return std::max<int64_t>((same_size(n, stride) - 1) * stride + kernel - n, 0) / 2;
}
inline ConvShape same_conv(int64_t h, int64_t w, int64_t kernel, int64_t stride) {
  return {kernel,
          kernel,
          stride,
          stride,
          same_pad_before(h, kernel, stride),
          same_pad_before(w, kernel, stride),
          same_size(h, stride),
          same_size(w, stride)};
}

struct RowRange {
  int64_t begin, end;
};
// Input rows that output rows `out` of a convolution read.
inline RowRange input_rows(const ConvShape& conv, int64_t in_h, RowRange out) {
  return {std::max<int64_t>(out.begin * conv.stride_h - conv.pad_top, 0),
          std::min(in_h, (out.end - 1) * conv.stride_h - conv.pad_top + conv.kernel_h)};
}
// The same convolution for output rows `out` alone, on a map whose first row is input row first_input.
inline ConvShape part_of(ConvShape conv, RowRange out, int64_t first_input) {
  conv.pad_top += first_input - out.begin * conv.stride_h;
  conv.out_h = out.end - out.begin;
  return conv;
}

// Rows of a map that are worked on together: enough to keep every thread busy and to reuse weights, few enough that the
// widest intermediate map stays in the cache. Results do not depend on it.
inline int64_t strip_rows(const Context& ctx, int64_t h, int64_t w, int64_t widest_channels) {
  constexpr int64_t kStripValues = 1 << 20, kLeastPixels = 256, kPixelsPerThread = 64;
  const int64_t pixels =
      std::max({kLeastPixels, kPixelsPerThread * ctx.pool.threads(), kStripValues / widest_channels});
  return std::clamp<int64_t>(pixels / w, 1, h);
}

}  // namespace g3n
