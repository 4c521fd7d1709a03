// All JSON of the command line, read and written in one unit. Strings that are not UTF-8 (pieces of byte tokens) are
// written with U+FFFD.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "g3n/engine.h"

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

// A tree of objects for reports (inspect): values are numbers, texts, lists or objects.
struct JsonNode;
using JsonObject = std::vector<std::pair<std::string, JsonNode>>;
using JsonList = std::vector<JsonNode>;
struct JsonNode {
  std::variant<bool, std::int64_t, double, std::string, JsonObject, JsonList> value;
};
std::string to_json(const JsonNode& node);

}  // namespace g3n::cli
