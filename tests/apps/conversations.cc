// See conversations.h. The one unit of these tests with the JSON library.
#include "apps/conversations.h"

#include <nlohmann/json.hpp>
#include <stdexcept>

#include "apps/program.h"
#include "support/source_path.h"

namespace g3n::testing {
namespace {

using OrderedJson = nlohmann::ordered_json;

Conversation read(const std::string& name, const OrderedJson& json) {
  Conversation c{
      name, json.at("messages").dump(), {}, {}, json.at("ids"), json.at("greedy_ids"), json.at("text"), false, "", ""};
  std::string kinds;
  for (const OrderedJson& message : json.at("messages")) {
    kinds += message.at("role").get<std::string>().front();
    for (const OrderedJson& part : message.at("content")) {
      const std::string type = part.at("type");
      if (type == "image") c.images.push_back(demo_media(part.at("image")));
      if (type == "audio") c.audios.push_back(demo_media(part.at("audio")));
      if (type == "text") (message.at("role") == "system" ? c.system : c.prompt) = part.at("text");
      kinds += type.front();
    }
  }
  // s(ystem)t(ext) u(ser) i(mages) a(udio) t(ext)
  std::string want = std::string(c.system.empty() ? "" : "st") + "u" + std::string(c.images.size(), 'i') +
                     std::string(c.audios.size(), 'a') + (c.prompt.empty() ? "" : "t");
  c.fits_flags = kinds == want;
  return c;
}

OrderedJson at_path(const std::string& json, const std::string& key) {
  return OrderedJson::parse(json).at(OrderedJson::json_pointer("/" + key));
}

}  // namespace

const std::vector<Conversation>& conversations() {
  static const std::vector<Conversation> all = [] {
    std::vector<Conversation> list;
    const OrderedJson json = OrderedJson::parse(read_text(source_path("tests/golden/data/demo/conversations.json")));
    for (const auto& [name, value] : json.items()) list.push_back(read(name, value));
    return list;
  }();
  return all;
}

const Conversation& conversation(const std::string& name) {
  for (const Conversation& c : conversations())
    if (c.name == name) return c;
  throw std::runtime_error("no conversation " + name);
}

std::string json_text(const std::string& json, const std::string& key) { return at_path(json, key); }
double json_number(const std::string& json, const std::string& key) { return at_path(json, key); }
std::vector<std::int64_t> json_integers(const std::string& json, const std::string& key) { return at_path(json, key); }
std::vector<std::string> json_texts(const std::string& json, const std::string& key) { return at_path(json, key); }

std::vector<std::string> json_keys(const std::string& json) {
  std::vector<std::string> keys;
  const OrderedJson parsed = OrderedJson::parse(json);
  for (const auto& [key, value] : parsed.items()) keys.push_back(key);
  return keys;
}

std::vector<std::string> message_lines(const std::string& json) {
  std::vector<std::string> lines;
  for (const OrderedJson& message : OrderedJson::parse(json)) {
    std::string line = message.at("role").get<std::string>() + ":";
    for (const OrderedJson& part : message.at("content")) {
      const std::string type = part.at("type");
      (line += ' ') += type == "text" ? part.at("text").get<std::string>() : '<' + type + '>';
    }
    lines.push_back(line);
  }
  return lines;
}

}  // namespace g3n::testing
