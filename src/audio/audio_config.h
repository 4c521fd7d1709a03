// AudioConfig: the audio keys of config.json, with transformers' defaults, and the frame arithmetic that follows from
// them. HF: Gemma3nAudioConfig.
#pragma once
#include <cstdint>
#include <vector>

#include "json/config.h"

namespace g3n {

// One sub-sampling convolution: kernel and stride in frames (time) and bins (frequency). Time is padded behind only
// (reverse causal), frequency by one bin on either side.
struct SscpConv {
  static constexpr int64_t kBinPadding = 1;
  int64_t channels, kernel_frames, kernel_bins, stride_frames, stride_bins;

  int64_t out_frames(int64_t frames) const { return (frames - 1) / stride_frames + 1; }
  int64_t out_bins(int64_t bins) const { return (bins + 2 * kBinPadding - kernel_bins) / stride_bins + 1; }
};

struct AudioConfig {
  int64_t mels = 128;
  int64_t hidden = 1536;
  int64_t layers = 12;
  int64_t heads = 8;
  int64_t context_left = 13;     // keys that a frame sees, itself included
  int64_t conv_kernel_size = 5;  // frames, of the light convolution
  int64_t reduction_factor = 4;  // conformer frames per soft token
  std::vector<SscpConv> convs = {{128, 3, 3, 2, 2}, {32, 3, 3, 2, 2}};
  float residual_weight = 0.5f;  // of the feed-forwards
  float logit_cap = 50.0f;
  float gradient_clipping = 1e10f;
  float rms_norm_eps = 1e-6f;
  float group_norm_eps = 1e-3f;
  int64_t vocab_size = 128;       // rows of the hard embedding table
  int64_t vocab_offset = 262272;  // id of its row 0
  int64_t soft_tokens = 188;      // rows per clip, whatever its length
  int64_t text_hidden = 2048;

  // From the whole config.json (audio_config, audio_soft_tokens_per_image, text_config.hidden_size). Throws kBadFile
  // for values that cannot be, kUnsupported for a look-ahead (conf_attention_context_right).
  static AudioConfig from(const Config& top);

  int64_t head_dim() const { return hidden / heads; }
  int64_t ffn() const { return 4 * hidden; }  // HF: Gemma3nAudioConformerFeedForward
  // Log-mel frames per conformer frame.
  int64_t stride_frames() const;
  int64_t conformer_frames(int64_t log_mel_frames) const;
  int64_t tokens(int64_t log_mel_frames) const;
  // Values per frame that enter the input projection: bins * channels after the last convolution.
  int64_t flat() const;
};

}  // namespace g3n
