// MediaInput: one medium, decoded and brought to what its encoder is fed. Made on any thread, without the model's lock.
#pragma once
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "core/log.h"
#include "g3n/message.h"
#include "g3n/prompt.h"
#include "media/decode_limits.h"
#include "model/media_kinds.h"
#include "seam/language_model.h"

namespace g3n {

struct ProcessorConfig;  // checkpoint/processor_config.h

struct MediaInput {
  MediaKind kind = MediaKind::kImage;
  std::vector<float> values;                // pixels [height, width, 3] or frames [frames, mels]
  std::vector<uint8_t> valid;               // [frames] of a clip
  int64_t height = 0, width = 0;            // of pixels; frames and mels of a clip
  std::shared_ptr<const SoftTokens> ready;  // came as soft tokens or is known: nothing to encode
  ContentHash content{};

  EncoderInput view() const;  // valid as long as this; empty if it came as soft tokens
};

inline MediaKind kind_of(const MediaPart& part) {
  return std::holds_alternative<ImagePart>(part) ? MediaKind::kImage : MediaKind::kAudio;
}

// Null: it must be encoded.
const SoftTokens* soft_tokens_of(const MediaPart& part);

// Soft tokens of a medium that was encoded before; null: it was not.
using KnownMedia = std::function<std::shared_ptr<const SoftTokens>(const ContentHash&)>;

// Whose messages of cut sounds are whose, and what decoding a file may come to.
struct ReadRules {
  Log log;
  DecodeLimits limits;
};

// hidden: the width of soft tokens that come ready. engine_image_size: pixels a side of pictures whose part names none;
// 0: the processor's. known: what needs not even be decoded; may be empty. Any thread; no
// model, no pool. Throws kUnsupported for a kind without encoder (soft tokens are taken all the same), kInvalidArgument
// for sizes, clips and soft tokens that do not fit, and as decode_image and decode_audio.
MediaInput read_medium(const ProcessorConfig& processor, const MediaKinds& kinds, int64_t hidden, const MediaPart& part,
                       int engine_image_size, const ReadRules& rules = {}, const KnownMedia& known = {});

// Clips as one batch: shorter ones are padded to the longest before their frames are made (HF: padding "longest").
// Throws as read_medium, and kInvalidArgument for clips that come as frames or soft tokens.
std::vector<MediaInput> read_clips(const ProcessorConfig& processor, const MediaKinds& kinds,
                                   std::span<const AudioPart> clips, const ReadRules& rules = {});

// [height, width, 3] to [3, height, width].
std::vector<float> to_chw(View<const float, 3> pixels);

}  // namespace g3n
