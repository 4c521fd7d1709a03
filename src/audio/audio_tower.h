// AudioTower: log-mel frames of one clip to its soft tokens, ready for the text model. HF: Gemma3nAudioEncoder and
// Gemma3nModel.get_audio_features, with the fill-up to a fixed number of rows.
#pragma once
#include <span>
#include <vector>

#include "audio/audio_config.h"
#include "audio/conformer_block.h"
#include "audio/subsample_conv_projection.h"
#include "embedder/multimodal_embedder.h"

namespace g3n {

class AudioTower {
 public:
  explicit AudioTower(const AudioConfig& config);

  // Names every weight: model.audio_tower.*, model.embed_audio.*.
  void bind(Binder& binder);

  const AudioConfig& config() const { return config_; }
  // Soft tokens that a clip of so many log-mel frames gives before the fill-up.
  int64_t tokens(int64_t log_mel_frames) const { return config_.tokens(log_mel_frames); }

  // Rows of soft_tokens beyond the clip's own, or of padding, are the padding embedding. Throws kInvalidArgument when
  // the clip has no frame, gives more tokens than there are rows, or when valid frames follow padding. Taps: audio.*.
  void forward(
      Context& ctx, View<const float, 2> log_mel,  // [frames, mels]
      std::span<const uint8_t> valid,  // [frames], not 0: a frame of the clip, 0: padding behind it; empty: all valid
      View<float, 2> soft_tokens) const;  // [config().soft_tokens, text_hidden]

  // The vector of token id vocab_offset + row.
  void hard_embedding(Context& ctx, int64_t row, View<float, 2> out) const;  // out: [1, text_hidden]

 private:
  // Conformer frames that the mask leaves: a frame counts if the first log-mel frame under it does.
  int64_t valid_frames(int64_t frames, std::span<const uint8_t> valid) const;
  // The conformer over x [frames, hidden] in place; afterwards frames 0, reduction_factor, ... hold its output.
  void conform(Context& ctx, View<float, 2> x) const;

  AudioConfig config_;
  SubsampleConvProjection subsample_conv_projection_;
  std::vector<ConformerBlock> conformer_;
  MultimodalEmbedder embed_audio_;
};

}  // namespace g3n
