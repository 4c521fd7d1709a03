// The template: <bos>, then per turn <start_of_turn>ROLE\n ... <end_of_turn>\n. A system message is text in front of
// the first turn's.
#include "tokenizer/chat_template.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>

#include "core/mapped_file.h"
#include "g3n/error.h"
#include "tokenizer/tokenizer_json.h"
#include "core/utf8.h"

namespace g3n {
namespace {

constexpr const char *kBos = "<bos>", *kStartOfTurn = "<start_of_turn>", *kEndOfTurn = "<end_of_turn>";
constexpr const char *kImageBegin = "<start_of_image>", *kImageSoft = "<image_soft_token>",
                     *kImageEnd = "<end_of_image>";
constexpr const char *kAudioBegin = "<start_of_audio>", *kAudioSoft = "<audio_soft_token>",
                     *kAudioEnd = "<end_of_audio>";

// Digests of templates that `render` is equal to.
constexpr std::uint64_t kKnownTemplates[] = {
    0x043C10AAD5D50717u,  // google/gemma-3n-*-it
    0x333FE0AFCBDFA37Bu,  // models/demo
};

[[noreturn]] void refuse(const std::string& what) { throw Error(ErrorCode::kInvalidArgument, what); }

std::string name_of(std::size_t message) { return "messages[" + std::to_string(message) + "]"; }

void add_text(std::vector<Segment>& segments, std::string_view text) {
  if (text.empty()) return;
  if (segments.empty() || segments.back().is_control) segments.push_back({});
  segments.back().text += text;
}

void add_control(std::vector<Segment>& segments, const char* token, int repeat = 1) {
  segments.push_back({token, /*is_control=*/true, repeat});
}

// The system text as the first turn's prefix: only the first part counts, and it is not trimmed.
std::string system_prefix(const Message& message) {
  const TextPart* text = message.parts.empty() ? nullptr : std::get_if<TextPart>(&message.parts[0]);
  if (text == nullptr)
    refuse(name_of(0) + ": expected a system message that begins with text, found " +
           (message.parts.empty() ? "nothing" : "media"));
  expect_utf8(text->text, name_of(0));
  return text->text + "\n\n";
}

void add_part(std::vector<Segment>& segments, const Part& part, const std::string& where) {
  if (const auto* text = std::get_if<TextPart>(&part)) {
    expect_utf8(text->text, where);
    add_text(segments, trim_white_space(text->text));
  } else {
    add_control(segments, std::holds_alternative<ImagePart>(part) ? kImageSoft : kAudioSoft);
  }
}

// FNV-1a of the template's lines, each without white space at its ends.
std::uint64_t digest_of(std::string_view jinja) {
  jinja = trim_white_space(jinja);
  std::uint64_t hash = 0xCBF29CE484222325u;
  const auto take = [&hash](char c) { hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u; };
  for (std::size_t at = 0; at < jinja.size();) {
    const std::size_t end = std::min(jinja.find('\n', at), jinja.size());
    const std::string_view line = trim_white_space(jinja.substr(at, end - at));
    std::for_each(line.begin(), line.end(), take);
    take('\n');
    at = end + 1;
  }
  return hash;
}

}  // namespace

PromptEnd prompt_end(bool add_generation_prompt, bool continue_final_message) {
  if (add_generation_prompt && continue_final_message)
    refuse("add_generation_prompt and continue_final_message exclude each other");
  return continue_final_message  ? PromptEnd::kContinue
         : add_generation_prompt ? PromptEnd::kGenerate
                                 : PromptEnd::kNothing;
}

std::vector<Segment> render(std::span<const Message> messages, PromptEnd end) {
  if (messages.empty()) refuse("messages: expected at least one message, found none");
  const std::size_t first = messages[0].role == "system" ? 1 : 0;
  const std::string prefix = first == 1 ? system_prefix(messages[0]) : "";
  const bool is_open = end == PromptEnd::kContinue;
  if (is_open && first == messages.size())
    refuse("continue_final_message: expected a message to continue, found a system message alone");

  std::vector<Segment> segments;
  add_control(segments, kBos);
  for (std::size_t i = first; i < messages.size(); ++i) {
    const Message& message = messages[i];
    if ((message.role == "user") != ((i - first) % 2 == 0))
      refuse(name_of(i) + ": roles must alternate user/assistant/user/assistant/..., beginning with user; expected " +
             ((i - first) % 2 == 0 ? "user" : "assistant") + ", found '" + message.role + "'");
    expect_utf8(message.role, name_of(i) + ".role");
    add_control(segments, kStartOfTurn);
    add_text(segments, (message.role == "assistant" ? "model" : message.role) + "\n");
    if (i == first) add_text(segments, prefix);
    for (const Part& part : message.parts) add_part(segments, part, name_of(i));
    if (is_open && i + 1 == messages.size()) {
      if (!message.parts.empty() && !std::holds_alternative<TextPart>(message.parts.back()))
        refuse(name_of(i) + ": continue_final_message expects a last message that ends in text, found media");
      return segments;
    }
    add_control(segments, kEndOfTurn);
    add_text(segments, "\n");
  }
  if (end == PromptEnd::kGenerate) {
    add_control(segments, kStartOfTurn);
    add_text(segments, "model\n");
  }
  return segments;
}

std::vector<Segment> expand_media(std::span<const Segment> segments, MediaTokens tokens) {
  std::vector<Segment> out;
  for (const Segment& segment : segments) {
    const bool is_image = segment.is_control && segment.text == kImageSoft,
               is_audio = segment.is_control && segment.text == kAudioSoft;
    if (!is_image && !is_audio) {
      out.push_back(segment);
      continue;
    }
    for (int i = 0; i < segment.repeat; ++i) {
      add_text(out, "\n\n");
      add_control(out, is_image ? kImageBegin : kAudioBegin);
      add_control(out, segment.text.c_str(), is_image ? tokens.image : tokens.audio);
      add_control(out, is_image ? kImageEnd : kAudioEnd);
      add_text(out, "\n\n");
    }
  }
  return out;
}

MediaCounts count_media(std::span<const Segment> segments) {
  MediaCounts counts;
  for (const Segment& segment : segments) {
    if (!segment.is_control) continue;
    if (segment.text == kImageSoft) counts.images += segment.repeat;
    if (segment.text == kAudioSoft) counts.audios += segment.repeat;
  }
  return counts;
}

std::string text_of(std::span<const Segment> segments) {
  std::string text;
  for (const Segment& segment : segments)
    for (int i = 0; i < segment.repeat; ++i) text += segment.text;
  return text;
}

std::optional<std::string> find_chat_template(const FileSet& files) {
  if (files.has("chat_template.jinja")) return std::string(files.text("chat_template.jinja"));
  for (const char* name : {"chat_template.json", "tokenizer_config.json"}) {
    if (!files.has(name)) continue;
    if (auto found = read_tokenizer_config(files.text(name), files.path(name)).chat_template) return found;
  }
  return std::nullopt;
}
std::optional<std::string> find_chat_template(const std::string& folder) {
  return find_chat_template(FileSet::folder(folder));
}

bool is_known_chat_template(std::string_view jinja) {
  const std::uint64_t digest = digest_of(jinja);
  return std::find(std::begin(kKnownTemplates), std::end(kKnownTemplates), digest) != std::end(kKnownTemplates);
}

}  // namespace g3n
