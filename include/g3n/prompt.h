// Prompts: what a caller asks (Prompt) and what the model is fed (PreparedPrompt).
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "g3n/message.h"

namespace g3n {

// A conversation through the chat template. Control tokens written inside text parts are plain text.
struct ChatPrompt {
  std::vector<Message> messages;
  bool add_generation_prompt = true;
  bool continue_final_message = false;  // the answer goes on where the last message (the assistant's) ends
};

// The media of a conversation in the order of their placeholders.
std::vector<MediaPart> media_of(const std::vector<Message>& messages);

// Text as it is: no template, <bos> in front unless present, control tokens parsed. <image_soft_token> and
// <audio_soft_token> stand for the media, in order.
struct RawPrompt {
  std::string text;
  std::vector<MediaPart> media;
};

// Exactly these ids. Image and audio soft-token ids are filled by the media, in order; counts must fit.
struct IdsPrompt {
  std::vector<std::int32_t> ids;
  std::vector<MediaPart> media;
  // Where other prompts are likely to go another way, behind a system text: what is computed up to there is kept for
  // them. Changes no result.
  std::vector<std::int64_t> likely_ends = {};
};

struct PreparedPrompt;
using Prompt = std::variant<ChatPrompt, RawPrompt, IdsPrompt, std::shared_ptr<const PreparedPrompt>>;

// SHA-256 of what a medium is made of (file bytes, pixels, samples or soft tokens) and how it is encoded.
using ContentHash = std::array<std::uint8_t, 32>;

// Rows row .. row + count of soft tokens stand at positions first .. first + count.
struct SoftSpan {
  std::int64_t first = 0, row = 0, count = 0;
  std::shared_ptr<const SoftTokens> tokens;
  ContentHash content{};
};

struct PreparedPrompt {
  std::vector<std::int32_t> ids;
  std::vector<std::uint8_t> token_types;  // HF: token_type_ids; 1 image, 3 audio, 0 everything else
  std::vector<SoftSpan> soft;             // ascending, not overlapping
  double encode_seconds = 0;              // spent in decoding and encoding media
};

}  // namespace g3n
