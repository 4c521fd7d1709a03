// See json_text.h: answers and reports.
#include "json_text.h"

#include <nlohmann/json.hpp>

#include "g3n/error.h"

namespace g3n::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

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

std::string answer_json(const Answer& answer, double load_seconds) {
  const Timings& t = answer.timings;
  return dump({{"text", answer.text},
               {"ids", answer.ids},
               {"finish_reason", finish_reason_name(answer.finish_reason)},
               {"prompt_tokens", answer.prompt_tokens},
               {"completion_tokens", answer.ids.size()},
               {"timings",
                {{"load_seconds", load_seconds},
                 {"encode_seconds", t.encode_seconds},
                 {"prefill_seconds", t.prefill_seconds},
                 {"decode_seconds", t.decode_seconds},
                 {"prefilled_tokens", t.prefilled_tokens}}}});
}

std::string tokens_json(const std::vector<std::int32_t>& ids, const std::vector<std::string>& pieces) {
  return dump({{"ids", ids}, {"pieces", pieces}});
}

std::string to_json(const JsonNode& node) { return dump(std::visit(ToJson{}, node.value)); }

}  // namespace g3n::cli
