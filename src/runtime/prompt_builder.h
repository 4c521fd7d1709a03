// PromptBuilder: what a caller asked to what the model is fed: template, tokens, and the places of soft tokens. Checks
// everything that can be checked (counts, room, every file decodes) before anything is encoded. Any thread.
#pragma once
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "g3n/prompt.h"
#include "model/media_input.h"
#include "model/opened_model.h"
#include "tokenizer/chat_template.h"

namespace g3n {

// Something that is still to be encoded: a medium, or an id of a side vocabulary.
struct PendingMedium {
  MediaKind kind = MediaKind::kImage;
  int64_t index = 0, count = 1;  // among the prompt's media of this kind
  MediaInput input;
  int32_t side_id = -1;       // this instead of an input
  int64_t rows = 0;           // soft tokens it becomes
  std::vector<size_t> spans;  // of PromptPlan::prompt.soft that they fill
};

struct PromptPlan {
  PreparedPrompt prompt;             // spans of pending media have no tokens yet
  std::vector<PendingMedium> media;  // in the order of the prompt
  std::vector<int64_t> keep_at;  // positions that other prompts are likely to go on from: ends of a system text, ...
};

class PromptBuilder {
 public:
  // image_size: of pictures that name none; 0: the checkpoint's. load_encoder makes the encoder of a kind ready, on the
  // asking thread. known: media that need not be encoded again.
  PromptBuilder(const OpenedModel& model, int64_t context, int image_size, std::function<void(MediaKind)> load_encoder,
                KnownMedia known = {})
      : model_(model),
        context_(context),
        image_size_(image_size),
        load_encoder_(std::move(load_encoder)),
        known_(std::move(known)) {}

  // The template's text with one placeholder per medium.
  std::string render(const ChatPrompt& prompt) const;
  // Ids alone; media are counted, not decoded. Throws kInvalidArgument when placeholders and media do not fit.
  std::vector<int32_t> tokenize(const Prompt& prompt) const;
  // The same prompt without its texts.
  IdsPrompt as_ids(const ChatPrompt& prompt) const;
  // Tokens, and media decoded and brought to their encoder's size; the encoders they need are loaded. Throws
  // kContextFull with both numbers, kInvalidArgument, kBadFile, kUnsupported. encodes_all: known media, too.
  PromptPlan plan(const Prompt& prompt, bool encodes_all = false) const;
  // A later turn of a conversation whose cache ends behind <end_of_turn>: behind `history` come "\n", the user turn,
  // and the header of the answer.
  PromptPlan plan_turn(const PreparedPrompt& history, const Message& user) const;

 private:
  std::vector<int32_t> encode(const std::vector<Segment>& segments, std::span<const MediaPart> media) const;
  std::vector<int32_t> encode(const ChatPrompt& prompt, std::span<const MediaPart> media) const;
  PromptPlan plan_ids(std::vector<int32_t> ids, std::span<const MediaPart> media, std::vector<int64_t> likely_ends,
                      const KnownMedia& known) const;
  PromptPlan place(PreparedPrompt before, std::vector<int32_t> ids, std::span<const MediaPart> media,
                   const KnownMedia& known) const;
  std::optional<int64_t> end_of_system(const ChatPrompt& prompt, std::span<const int32_t> ids) const;
  std::optional<int64_t> last_user_turn(std::span<const int32_t> ids) const;

  const OpenedModel& model_;
  int64_t context_;
  int image_size_;
  std::function<void(MediaKind)> load_encoder_;
  KnownMedia known_;
};

}  // namespace g3n
