// See prompt_input.h.
#include "prompt_input.h"

#include <algorithm>

#include "console.h"
#include "core/utf8.h"
#include "files.h"
#include "messages_file.h"

namespace g3n::cli {
namespace {

void expect_words(const Options& o, const std::string& text) {
  if (!is_blank(text) || !o.media.empty()) return;
  // A question without a model in front.
  if (const std::string taken = taken_for_model(o); !taken.empty() && !o.text)
    throw UsageError(taken + ", which leaves no prompt");
  throw UsageError("the prompt is empty: give a text, - for stdin, -f FILE, --image or --audio");
}

void append_paragraph(std::string& text, const std::string& more) {
  if (more.empty()) return;
  if (!text.empty()) text += "\n\n";
  text += more;
}

// Whether -f, --image or --audio names stdin (/dev/stdin), which is then no part of the words.
bool stdin_is_file(const Options& o) {
  return (o.file && is_stdin(*o.file)) ||
         std::any_of(o.media.begin(), o.media.end(), [](const MediaFile& medium) { return is_stdin(medium.path); });
}

}  // namespace

bool is_blank(std::string_view text) { return trim_white_space(text).empty(); }

std::string run_text(const Options& o) {
  const bool stdin_is_prompt = o.text == "-";
  std::string text = stdin_is_prompt ? read_stdin() : o.text.value_or("");
  expect_utf8(text, stdin_is_prompt ? "stdin" : "the prompt");
  if (o.file) append_paragraph(text, read_utf8_file(*o.file));
  if (!stdin_is_prompt && !stdin_is_file(o)) {
    const std::string piped = read_piped_stdin();
    expect_utf8(piped, "stdin");
    append_paragraph(text, piped);
  }
  expect_words(o, text);
  return text;
}

std::string tokenize_text(const Options& o) {
  std::string text = o.text == "-" ? read_stdin() : o.text.value_or("");
  if (o.raw || o.chat_template) expect_words(o, text);
  return text;
}

std::vector<Part> turn_parts(const std::vector<MediaFile>& media, const std::string& text) {
  std::vector<Part> parts;
  for (MediaPart& medium : read_media_parts(media))
    std::visit([&parts](auto& part) { parts.emplace_back(std::move(part)); }, medium);
  if (!is_blank(text)) parts.push_back(TextPart{text});
  return parts;
}

Prompt make_prompt(const Options& o, const std::string& text) {
  if (o.messages) {
    ChatPrompt chat = load_messages(*o.messages, o.media);
    chat.continue_final_message = o.continues;
    return chat;
  }
  if (o.raw) return RawPrompt{text, read_media_parts(o.media)};
  ChatPrompt prompt;
  if (o.system) prompt.messages.push_back(Message::text("system", *o.system));
  prompt.messages.push_back({"user", turn_parts(o.media, text)});
  return prompt;
}

}  // namespace g3n::cli
