// The audio front end: 16 kHz samples to log-mel frames. HF: Gemma3nAudioFeatureExtractor; spec/audio.md 1 and 2.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace g3n {

// The keys of preprocessor_config.json (processor_config.json: feature_extractor), with Gemma 3n's values.
struct MelConfig {
  int sampling_rate = 16000;
  int feature_size = 128;  // mels
  int frame_length = 512;  // samples, round(sampling_rate * frame_length_ms / 1000)
  int hop_length = 160;    // samples, round(sampling_rate * hop_length_ms / 1000)
  int fft_length = 1024;   // a power of two: the next above frame_length, doubled when fft_overdrive is set
  double min_frequency = 125.0;
  double max_frequency = 7600.0;
  double preemphasis = 0.97;
  bool preemphasis_htk_flavor = true;
  double mel_floor = 1e-5;
  double input_scale_factor = 1.0;
  std::vector<float> per_bin_mean;    // empty, or one value per mel, subtracted
  std::vector<float> per_bin_stddev;  // empty, or one value per mel, divided by
  int pad_to_multiple_of = 128;       // samples
  int max_samples = 480000;           // 30 s
};

// Log-mel features of one clip, and which frames began inside it.
struct LogMel {
  std::int64_t frames = 0;
  std::int64_t mels = 0;
  std::vector<float> values;        // [frames, mels]
  std::vector<std::uint8_t> valid;  // [frames]: 1 where the frame's first sample belongs to the clip
};

// Throws kInvalidArgument, beginning with the key, for values that no clip could be encoded with.
void check_mel_config(const MelConfig& config);

// Frames of a clip of so many samples: padded to the multiple, cut into pieces one longer than a frame. 0 when it is
// too short.
std::int64_t mel_frames(const MelConfig& config, std::int64_t samples);

// Throws kInvalidArgument when a clip cannot be encoded: too short for a frame, longer than max_samples, or with a
// sample that is not finite; and as check_mel_config. name is used in messages only.
void check_clip(const MelConfig& config, std::span<const float> pcm, const std::string& name);

// pcm: at most max_samples are used. padded_samples: 0, or the length of the longest clip of a batch, to which this one
// is padded with zeros. Throws as check_mel_config. Thread-safe.
LogMel log_mel(const MelConfig& config, std::span<const float> pcm, std::int64_t padded_samples = 0);

}  // namespace g3n
