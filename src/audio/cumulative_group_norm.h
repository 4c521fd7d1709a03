// CumulativeGroupNorm: normalises every frame by the mean and variance of all frames up to it. HF:
// Gemma3nAudioCumulativeGroupNorm.
#pragma once
#include "core/context.h"

namespace g3n {

// x = relu((x - mean_t) / sqrt(variance_t + eps) * weight), frame by frame, in place. x: [frames, bins*channels],
// contiguous, channels innermost; weight: [channels]. mean_t is over frames 0..t; variance_t adds up each frame's
// squared distance to its *own* mean_t, not to the latest. Sums are double, in an order that does not depend on the
// number of threads.
void cumulative_group_norm_relu(Context& ctx, View<float, 2> x, View<const float, 1> weight, float eps);

}  // namespace g3n
