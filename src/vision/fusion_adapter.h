// FusionAdapter: the maps of the last two stages joined and brought to a fixed size (spec: vision.md 4).
//   u = rms_norm(pw_proj * gelu(rms_norm(pw_exp * concat(fine, upsampled coarse))));  out = rms_norm(resize(u))
// HF: timm MobileNetV5MultiScaleFusionAdapter.
#pragma once
#include "vision/map.h"
#include "weights/binder.h"

namespace g3n {

struct FusionShape {
  int64_t fine = 0, coarse = 0;  // channels of the two maps
  int64_t mid = 0, out = 0;
  int64_t resolution = 0;  // the output map is resolution x resolution
};

class FusionAdapter {
 public:
  void bind(Binder& binder, const FusionShape& shape);
  // coarse is brought to fine's size by the nearest neighbour. out: [resolution*resolution, shape.out].
  void forward(Context& ctx, const Map& fine, const Map& coarse, View<float, 2> out) const;

 private:
  void resize(Context& ctx, const Map& map, View<float, 2> out) const;

  FusionShape shape_;
  WeightView pw_exp_;  // [mid, fine + coarse]
  View<const float, 1> pw_exp_bn_;
  WeightView pw_proj_;  // [out, mid]
  View<const float, 1> pw_proj_bn_;
  View<const float, 1> norm_;  // [out]
};

// out[y][x] = mean of the pixels of cell (y, x); map.h and map.w are multiples of the output's sides.
void average_pool(Context& ctx, const Map& map, int64_t out_h, int64_t out_w, View<float, 2> out);
// Bilinear, corners not aligned, no antialias: torch's interpolate.
void bilinear_resize(Context& ctx, const Map& map, int64_t out_h, int64_t out_w, View<float, 2> out);

}  // namespace g3n
