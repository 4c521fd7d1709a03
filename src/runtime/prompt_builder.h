// PromptBuilder: what a caller asked to what the model is fed: template, tokens, and soft tokens in their places.
#pragma once
#include <vector>

#include "g3n/prompt.h"
#include "model/model.h"
#include "runtime/machine.h"
#include "tokenizer/chat_template.h"

namespace g3n {

class PromptBuilder {
 public:
  // release_encoders: their memory is given back after each prompt with media.
  PromptBuilder(Gemma3n& model, Machine& machine, bool release_encoders = false)
      : model_(model), machine_(machine), release_encoders_(release_encoders) {}

  // The template's text with one placeholder per medium.
  std::string render(const ChatPrompt& prompt) const;
  // Ids alone; media are counted, not decoded. Throws kInvalidArgument when placeholders and media do not fit.
  std::vector<int32_t> tokenize(const Prompt& prompt) const;
  PreparedPrompt prepare(const Prompt& prompt, const std::atomic<bool>* cancelled);

  // A later turn of a conversation whose cache ends behind <end_of_turn>: "\n", the user turn, and the header of the
  // answer.
  PreparedPrompt prepare_turn(const Message& user, const std::atomic<bool>* cancelled);

 private:
  struct Media {
    std::vector<const ImagePart*> images;
    std::vector<const AudioPart*> audios;
  };
  static Media media_of(const Prompt& prompt);
  static Media media_of(const std::vector<Message>& messages);
  std::vector<int32_t> encode(const std::vector<Segment>& segments, const Media& media) const;
  PreparedPrompt fill(std::vector<int32_t> ids, const Media& media, const std::atomic<bool>* cancelled);

  Gemma3n& model_;
  Machine& machine_;
  bool release_encoders_;
};

}  // namespace g3n
