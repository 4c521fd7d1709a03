// A conversation as the prompt Gemma 3n was trained on: the published chat template and processor, in C++
// (spec/processor.md 2 and 3). Only the template's own control tokens are control segments: what a user or a caller
// wrote stays text, also when it spells one or is put together of parts.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "g3n/message.h"
#include "tokenizer/tokenizer.h"

namespace g3n {

enum class PromptEnd {
  kGenerate,  // "<start_of_turn>model\n" at the end: the model answers
  kNothing,   // the conversation as it is
  kContinue,  // the last message stays open, without <end_of_turn>: the model goes on with it
};

// From the two options transformers has; throws kInvalidArgument when both are set.
PromptEnd prompt_end(bool add_generation_prompt, bool continue_final_message);

// The rendered conversation, beginning with <bos>, with one control segment per image and audio part
// ("<image_soft_token>",
// "<audio_soft_token>"). Throws kInvalidArgument, naming the message, when there is none, when roles do not alternate
// user / assistant from user on (after an optional system message), when a system message does not begin with text,
// when text is not UTF-8, and when there is nothing to continue.
std::vector<Segment> render(std::span<const Message> messages, PromptEnd end = PromptEnd::kGenerate);

// How many placeholders an image and a clip take: vision_soft_tokens_per_image and audio_soft_tokens_per_image of
// config.json.
struct MediaTokens {
  int image = 0;
  int audio = 0;
};

// Each placeholder becomes "\n\n", its begin token, that many soft tokens, its end token, "\n\n". Done once, on what
// render or Tokenizer::split gave.
std::vector<Segment> expand_media(std::span<const Segment> segments, MediaTokens tokens);

// Placeholders before expansion.
struct MediaCounts {
  int images = 0;
  int audios = 0;
};
MediaCounts count_media(std::span<const Segment> segments);

// The segments as one string, which is what transformers' apply_chat_template(tokenize=False) returns.
std::string text_of(std::span<const Segment> segments);

// The template a checkpoint folder brings (chat_template.jinja, chat_template.json or tokenizer_config.json), if any.
std::optional<std::string> find_chat_template(const std::string& folder);
std::optional<std::string> find_chat_template(const FileSet& files);

// Does this template render as `render` does? Known by digest; indentation and line ends do not count. For any other
// the caller should say once that the built-in template is used.
bool is_known_chat_template(std::string_view jinja);

}  // namespace g3n
