// What the processor does to a picture before the vision tower sees it: a plain resize in fixed point, then a product.
// No crop, no padding, no mean. HF: SiglipImageProcessor, torchvision backend (bit-exact with it on a CPU);
// spec/vision.md 1.
#pragma once
#include "g3n/message.h"

namespace g3n {

// 1/255 as the processor multiplies by it, in float32 (a product: a division would differ in the last bit of 126 of the
// 256 values).
constexpr float kRescaleFactor = 1.0f / 255.0f;

// Antialiased bilinear, width and height scaled independently. Memory beside source and result: [source.height, width,
// 3] bytes. Throws kInvalidArgument when a size is not positive or source.rgb is not [height, width, 3].
Pixels resize_image(const Pixels& source, int width, int height);

// hwc = float(rgb) * scale. hwc: [height, width, 3]
void to_float(const Pixels& source, float scale, float* hwc);

}  // namespace g3n
