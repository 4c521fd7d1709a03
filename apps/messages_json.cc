// See json_text.h: conversations, in and out. Knows nothing of the runtime.
#include "g3n/error.h"
#include "json/tree.h"
#include "json_text.h"

namespace g3n::cli {
namespace {

// Reads one file and knows where it is, for messages.
class MessagesReader {
 public:
  explicit MessagesReader(const std::string& file) : file_(file) {}

  std::vector<WrittenMessage> read(std::string_view text) const {
    const JsonNode json = parse(text);
    if (!json.list()) fail("expected a list of messages, found " + kind_of(json));
    std::vector<WrittenMessage> messages;
    for (const JsonNode& entry : *json.list())
      messages.push_back(message(entry, "message " + std::to_string(messages.size() + 1)));
    if (messages.empty()) fail("expected a list of messages, found an empty one");
    return messages;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const { throw Error(ErrorCode::kBadFile, file_ + ": " + what); }

  static std::string kind_of(const JsonNode& json) {
    if (json.is_null()) return "null";
    return std::string("a value of type ") + (json.object()    ? "object"
                                              : json.list()    ? "array"
                                              : json.text()    ? "string"
                                              : json.boolean() ? "boolean"
                                                               : "number");
  }

  JsonNode parse(std::string_view text) const {
    try {
      return parse_json_tree(text, file_);
    } catch (const JsonError& error) {
      fail("not JSON: " + error.reason());
    }
  }

  const std::string& text_of(const JsonNode& object, const char* key, const std::string& where) const {
    const JsonNode* found = object.find(key);
    if (!found) fail(where + ": expected the key \"" + key + "\", found none");
    if (!found->text()) fail(where + ": expected a string for \"" + key + "\", found " + kind_of(*found));
    return *found->text();
  }

  WrittenMessage message(const JsonNode& json, const std::string& where) const {
    if (!json.object()) fail(where + ": expected an object with role and content, found " + kind_of(json));
    WrittenMessage message{text_of(json, "role", where), {}};
    const JsonNode* content = json.find("content");
    if (!content) fail(where + ": expected the key \"content\", found none");
    if (content->text()) {
      message.parts.push_back({WrittenPart::Kind::kText, *content->text(), ""});
    } else if (content->list()) {
      for (const JsonNode& entry : *content->list())
        message.parts.push_back(part(entry, where + ", part " + std::to_string(message.parts.size() + 1)));
    } else if (!content->is_null()) {  // null is an empty turn
      fail(where + ": expected a string or a list of parts for \"content\", found " + kind_of(*content));
    }
    return message;
  }

  WrittenPart part(const JsonNode& json, const std::string& where) const {
    if (!json.object()) fail(where + ": expected an object with a type, found " + kind_of(json));
    const std::string& type = text_of(json, "type", where);
    if (type == "text") return {WrittenPart::Kind::kText, text_of(json, "text", where), ""};
    if (type == "image") return {WrittenPart::Kind::kImage, "", path_of(json, "image")};
    if (type == "audio") return {WrittenPart::Kind::kAudio, "", path_of(json, "audio")};
    fail(where + ": expected the type text, image or audio, found \"" + type + "\"");
  }

  static std::string path_of(const JsonNode& json, const char* key) {
    for (const char* name : {key, "path"})
      if (const JsonNode* found = json.find(name); found && found->text()) return *found->text();
    return "";
  }

  const std::string& file_;
};

}  // namespace

std::vector<WrittenMessage> parse_messages(std::string_view json, const std::string& file) {
  return MessagesReader(file).read(json);
}

std::string messages_json(const std::vector<WrittenMessage>& messages) {
  JsonList list;
  for (const WrittenMessage& message : messages) {
    JsonList content;
    for (const WrittenPart& part : message.parts) {
      if (part.kind == WrittenPart::Kind::kText)
        content.push_back({JsonObject{{"type", {"text"}}, {"text", {part.text}}}});
      else
        content.push_back({JsonObject{{"type", {part.kind == WrittenPart::Kind::kImage ? "image" : "audio"}},
                                      {"path", {part.path}}}});
    }
    list.push_back({JsonObject{{"role", {message.role}}, {"content", {std::move(content)}}}});
  }
  return to_json({std::move(list)}, {.indent = 1});
}

}  // namespace g3n::cli
