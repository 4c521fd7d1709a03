// The vision tower again, in double precision and the plainest loops, from spec/vision.md alone: planes
// [channel][y][x], one whole map after the other. Shares nothing with src/vision but the tensors. Slow; for small
// towers.
#pragma once
#include <cstdint>
#include <vector>

#include "formats/tensor_source.h"

namespace g3n::testing {

// Soft tokens [resolution * resolution, text hidden] of pixels [h, w, 3].
std::vector<double> reference_soft_tokens(const TensorSource& tensors, const std::vector<float>& pixels, int64_t h,
                                          int64_t w, int64_t resolution);

}  // namespace g3n::testing
