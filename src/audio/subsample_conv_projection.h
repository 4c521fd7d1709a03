// SubsampleConvProjection: log-mel frames at 100 Hz to conformer frames at 25 Hz: strided convolutions, each with a
// cumulative norm and ReLU, then one projection. HF: Gemma3nAudioSubSampleConvProjection.
#pragma once
#include <vector>

#include "audio/audio_config.h"
#include "core/context.h"
#include "weights/binder.h"

namespace g3n {

class SubsampleConvProjection {
 public:
  void bind(Binder& binder, const AudioConfig& config);

  // The first out.dim[0] conformer frames. A frame looks ahead a few log-mel frames, and those may be padding.
  void forward(Context& ctx, const AudioConfig& config, View<const float, 2> log_mel,  // [frames, mels]
               View<float, 2> out) const;  // [at most conformer frames, hidden]

 private:
  struct Conv {
    WeightView weight;          // [channels, kernel_frames * kernel_bins * channels before]
    View<const float, 1> norm;  // [channels]
  };
  std::vector<Conv> convs_;
  WeightView input_proj_linear_;  // [hidden, bins * channels], input index bin * channels + channel
};

}  // namespace g3n
