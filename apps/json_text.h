// The JSON of the command line: conversations (messages_json.cc), answers and tokens (json_text.cc). Reports are trees
// of json/tree.h.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "g3n/engine.h"
#include "json/writer.h"

namespace g3n::cli {

// A part of a message as a file or transcript has it: media by name, or without one (a placeholder).
struct WrittenPart {
  enum class Kind { kText, kImage, kAudio };
  Kind kind = Kind::kText;
  std::string text;  // of kText
  std::string path;  // of media; may be empty
};
struct WrittenMessage {
  std::string role;
  std::vector<WrittenPart> parts;
};

// A list of {role, content: string or list of parts}, as transformers takes it. Throws Error{kBadFile} naming file,
// message and part.
std::vector<WrittenMessage> parse_messages(std::string_view json, const std::string& file);
std::string messages_json(const std::vector<WrittenMessage>& messages);

// engine: gives the time of loading, and the tokens' text for log probabilities.
std::string answer_json(const Answer& answer, const Engine& engine);
std::string tokens_json(const std::vector<std::int32_t>& ids, const std::vector<std::string>& pieces);

}  // namespace g3n::cli
