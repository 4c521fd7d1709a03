// See prompt_input.h.
#include "prompt_input.h"

#include <filesystem>

#include "console.h"
#include "files.h"
#include "messages_file.h"

namespace g3n::cli {
namespace {

bool is_white_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

void expect_words(const Options& o, const std::string& text) {
  if (!is_blank(text) || !o.media.empty()) return;
  // A question without a model in front: the first argument is the model where -m is absent.
  std::error_code ignored;
  if (o.engine.model.find(' ') != std::string::npos && !std::filesystem::exists(o.engine.model, ignored))
    throw UsageError("'" + o.engine.model +
                     "' was taken for the model, since -m MODEL is absent, which leaves no prompt");
  throw UsageError("the prompt is empty: give a text, - for stdin, -f FILE, --image or --audio");
}

void append_paragraph(std::string& text, const std::string& more) {
  if (more.empty()) return;
  if (!text.empty()) text += "\n\n";
  text += more;
}

}  // namespace

bool is_blank(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const unsigned char c = static_cast<unsigned char>(text[i]);
    // White space has at most three bytes; broken UTF-8 and longer characters are no white space.
    const size_t length = c < 0x80 ? 1 : (c >> 5) == 6 ? 2 : (c >> 4) == 14 ? 3 : 0;
    if (length == 0 || i + length > text.size()) return false;
    char32_t scalar = length == 1 ? c : c & (0xFF >> (length + 1));
    for (size_t k = 1; k < length; ++k) scalar = scalar << 6 | (static_cast<unsigned char>(text[i + k]) & 0x3F);
    if (!is_white_space(scalar)) return false;
    i += length;
  }
  return true;
}

std::string run_text(const Options& o) {
  const bool stdin_is_prompt = o.text == "-";
  std::string text = stdin_is_prompt ? read_stdin() : o.text.value_or("");
  if (o.file) append_paragraph(text, read_file(*o.file));
  if (!stdin_is_prompt) append_paragraph(text, read_piped_stdin());
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
