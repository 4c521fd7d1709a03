// See json_text.h. The only unit of the app that includes nlohmann/json.
#include "json_text.h"

#include <nlohmann/json.hpp>

#include "g3n/error.h"

namespace g3n::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

// Reads one file and knows where it is, for messages.
class MessagesReader {
 public:
  explicit MessagesReader(const std::string& file) : file_(file) {}

  std::vector<WrittenMessage> read(std::string_view text) const {
    const Json json = parse(text);
    if (!json.is_array()) fail("expected a list of messages, found " + kind_of(json));
    std::vector<WrittenMessage> messages;
    for (const Json& entry : json) messages.push_back(message(entry, "message " + std::to_string(messages.size() + 1)));
    if (messages.empty()) fail("expected a list of messages, found an empty one");
    return messages;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const { throw Error(ErrorCode::kBadFile, file_ + ": " + what); }

  static std::string kind_of(const Json& json) {
    return json.is_null() ? "null" : std::string("a value of type ") + json.type_name();
  }

  Json parse(std::string_view text) const {
    if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
    try {
      return Json::parse(text);
    } catch (const Json::exception& error) {
      std::string what = error.what();  // "[json.exception.parse_error.101] parse error at line 1, column 2: ..."
      if (const size_t end = what.find("] "); end != std::string::npos) what.erase(0, end + 2);
      fail("not JSON: " + what);
    }
  }

  const std::string& text_of(const Json& object, const char* key, const std::string& where) const {
    const auto found = object.find(key);
    if (found == object.end()) fail(where + ": expected the key \"" + key + "\", found none");
    if (!found->is_string()) fail(where + ": expected a string for \"" + key + "\", found " + kind_of(*found));
    return found->get_ref<const std::string&>();
  }

  WrittenMessage message(const Json& json, const std::string& where) const {
    if (!json.is_object()) fail(where + ": expected an object with role and content, found " + kind_of(json));
    WrittenMessage message{text_of(json, "role", where), {}};
    const auto content = json.find("content");
    if (content == json.end()) fail(where + ": expected the key \"content\", found none");
    if (content->is_string()) {
      message.parts.push_back({WrittenPart::Kind::kText, content->get<std::string>(), ""});
    } else if (content->is_array()) {
      for (const Json& entry : *content)
        message.parts.push_back(part(entry, where + ", part " + std::to_string(message.parts.size() + 1)));
    } else if (!content->is_null()) {  // null is an empty turn
      fail(where + ": expected a string or a list of parts for \"content\", found " + kind_of(*content));
    }
    return message;
  }

  WrittenPart part(const Json& json, const std::string& where) const {
    if (!json.is_object()) fail(where + ": expected an object with a type, found " + kind_of(json));
    const std::string& type = text_of(json, "type", where);
    if (type == "text") return {WrittenPart::Kind::kText, text_of(json, "text", where), ""};
    if (type == "image") return {WrittenPart::Kind::kImage, "", path_of(json, "image")};
    if (type == "audio") return {WrittenPart::Kind::kAudio, "", path_of(json, "audio")};
    fail(where + ": expected the type text, image or audio, found \"" + type + "\"");
  }

  static std::string path_of(const Json& json, const char* key) {
    for (const char* name : {key, "path"})
      if (const auto found = json.find(name); found != json.end() && found->is_string())
        return found->get<std::string>();
    return "";
  }

  const std::string& file_;
};

struct ToJson {
  Json operator()(const JsonObject& object) const {
    Json json = Json::object();
    for (const auto& [key, node] : object) json[key] = std::visit(*this, node.value);
    return json;
  }
  Json operator()(const JsonList& list) const {
    Json json = Json::array();
    for (const JsonNode& node : list) json.push_back(std::visit(*this, node.value));
    return json;
  }
  template <typename T>
  Json operator()(const T& value) const {
    return value;
  }
};

}  // namespace

std::vector<WrittenMessage> parse_messages(std::string_view json, const std::string& file) {
  return MessagesReader(file).read(json);
}

std::string messages_json(const std::vector<WrittenMessage>& messages) {
  Json list = Json::array();
  for (const WrittenMessage& message : messages) {
    Json content = Json::array();
    for (const WrittenPart& part : message.parts) {
      if (part.kind == WrittenPart::Kind::kText)
        content.push_back({{"type", "text"}, {"text", part.text}});
      else
        content.push_back({{"type", part.kind == WrittenPart::Kind::kImage ? "image" : "audio"}, {"path", part.path}});
    }
    list.push_back({{"role", message.role}, {"content", std::move(content)}});
  }
  return list.dump(1, ' ', false, Json::error_handler_t::replace);
}

std::string answer_json(const Answer& answer, const Engine& engine) {
  const Timings& t = answer.timings;
  const double load_seconds = engine.info().load_seconds;
  Json json = {{"text", answer.text},
               {"ids", answer.ids},
               {"finish_reason", finish_reason_name(answer.finish_reason)},
               {"prompt_tokens", answer.prompt_tokens},
               {"completion_tokens", answer.ids.size()},
               {"timings",
                {{"load_seconds", load_seconds},
                 {"encode_seconds", t.encode_seconds},
                 {"prefill_seconds", t.prefill_seconds},
                 {"decode_seconds", t.decode_seconds},
                 {"prefilled_tokens", t.prefilled_tokens}}}};
  const auto token = [&engine](std::int32_t id, float logprob) {
    Json one = {{"id", id}};
    if (engine.info().has_tokenizer) one["piece"] = engine.piece(id);
    one["logprob"] = logprob;
    return one;
  };
  for (const TokenLogprob& chosen : answer.logprobs) {
    Json one = token(chosen.id, chosen.logprob);
    one["top"] = Json::array();
    for (const auto& [id, logprob] : chosen.top) one["top"].push_back(token(id, logprob));
    json["logprobs"].push_back(std::move(one));
  }
  return dump(json);
}

std::string tokens_json(const std::vector<std::int32_t>& ids, const std::vector<std::string>& pieces) {
  return dump({{"ids", ids}, {"pieces", pieces}});
}

std::string to_json(const JsonNode& node) { return dump(std::visit(ToJson{}, node.value)); }

}  // namespace g3n::cli
