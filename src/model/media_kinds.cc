#include "model/media_kinds.h"

#include <algorithm>
#include <string>

#include "audio/audio_config.h"
#include "json/config.h"
#include "text/text_config.h"
#include "vision/vision_config.h"

namespace g3n {
namespace {

constexpr int64_t kMostResolution = 256, kMostSoftTokens = kMostResolution * kMostResolution, kMostSideIds = 1 << 24;

int64_t side_end(const MediaKindFacts& facts) { return facts.side_offset + facts.side_vocab; }

// The side vocabulary of a kind. A config without that part has none where Gemma 3n's would stand among the text ids.
void read_side(const Config& part, int64_t text_ids, int64_t default_offset, int64_t default_vocab,
               MediaKindFacts& facts) {
  const int64_t offset = part.integer("vocab_offset", default_offset, 0, INT32_MAX);
  const int64_t vocab = part.integer("vocab_size", default_vocab, 1, kMostSideIds);
  facts.side_offset = static_cast<int32_t>(offset);
  if (offset < text_ids && part.keys().empty()) return;
  facts.side_vocab = vocab;
  if (offset < text_ids)
    part.fail("vocab_offset",
              "an id behind those of text, at least " + std::to_string(text_ids) + " (vocab_size_per_layer_input)");
  if (offset + vocab > INT32_MAX)
    part.fail("vocab_size", "at most " + std::to_string(INT32_MAX - offset) + " ids from vocab_offset on");
}

}  // namespace

MediaKinds MediaKinds::from(const Config& top) {
  const VisionConfig vision_default;
  const AudioConfig audio_default;
  MediaKinds kinds;
  MediaKindFacts &image = kinds.of(MediaKind::kImage), &audio = kinds.of(MediaKind::kAudio);
  const auto id = [&](const char* key, int64_t fallback) {
    return static_cast<int32_t>(top.integer(key, fallback, 0, INT32_MAX - 1));
  };
  image = {.kind = MediaKind::kImage, .name = "image", .token_type = 1};
  image.soft_id = id("image_token_id", vision_default.vocab_offset + 1);
  const Config vision_part = top.object("vision_config"), audio_part = top.object("audio_config");
  const int64_t resolution =
      vision_part.object("model_args")
          .integer("msfa_output_resolution", vision_default.output_resolution, 1, kMostResolution);
  image.soft_tokens = top.integer("vision_soft_tokens_per_image", resolution * resolution, 1, kMostSoftTokens);
  audio = {.kind = MediaKind::kAudio, .name = "audio", .token_type = 3};
  audio.soft_id = id("audio_token_id", audio_default.vocab_offset + 1);
  audio.soft_tokens = top.integer("audio_soft_tokens_per_image", audio_default.soft_tokens, 1, kMostSoftTokens);

  const int64_t text_ids = TextConfig::from(top).vocab_size_per_layer_input;
  read_side(vision_part, text_ids, vision_default.vocab_offset, vision_default.vocab_size, image);
  read_side(audio_part, text_ids, audio_default.vocab_offset, audio_default.vocab_size, audio);
  const bool overlap = image.side_vocab && audio.side_vocab && image.side_offset < side_end(audio) &&
                       audio.side_offset < side_end(image);
  if (overlap)
    audio_part.fail("vocab_offset", "ids apart from those of vision_config, " + std::to_string(image.side_offset) +
                                        " to " + std::to_string(side_end(image) - 1));
  if (image.soft_id == audio.soft_id)
    top.fail("audio_token_id", "another id than image_token_id, " + std::to_string(image.soft_id));
  return kinds;
}

const MediaKindFacts* MediaKinds::of_soft_id(int32_t id) const {
  const auto found = std::find_if(facts_.begin(), facts_.end(), [&](const auto& facts) { return facts.soft_id == id; });
  return found == facts_.end() ? nullptr : &*found;
}

const MediaKindFacts* MediaKinds::of_side_id(int32_t id) const {
  const auto found = std::find_if(facts_.begin(), facts_.end(),
                                  [&](const auto& facts) { return id >= facts.side_offset && id < side_end(facts); });
  return found == facts_.end() ? nullptr : &*found;
}

}  // namespace g3n
