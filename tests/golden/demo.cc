#include "golden/demo.h"
#include "support/source_path.h"

#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>

#include <nlohmann/json.hpp>

namespace g3n::testing {
namespace {

MediaBytes read_media(const std::string& name) {
  const std::string path = demo_folder() + "/media/" + name;
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  return {{std::istreambuf_iterator<char>(file), {}}, name};
}

Message read_message(const nlohmann::json& json) {
  Message message{json.at("role"), {}};
  for (const nlohmann::json& part : json.at("content")) {
    const std::string type = part.at("type");
    if (type == "text")
      message.parts.push_back(TextPart{part.at("text")});
    else if (type == "image")
      message.parts.push_back(ImagePart{read_media(part.at("image"))});
    else
      message.parts.push_back(AudioPart{read_media(part.at("audio"))});
  }
  return message;
}

std::vector<Conversation> read_conversations() {
  std::ifstream file(source_path("tests/golden/data/demo/conversations.json"));
  std::vector<Conversation> all;
  const nlohmann::json root = nlohmann::json::parse(file);
  for (const auto& [name, json] : root.items()) {
    Conversation c{.name = name,
                   .messages = {},
                   .ids = json.at("ids"),
                   .greedy_ids = json.at("greedy_ids"),
                   .text = json.at("text"),
                   .smallest_top1_margin = json.at("smallest_top1_margin")};
    for (const nlohmann::json& message : json.at("messages")) c.messages.push_back(read_message(message));
    all.push_back(std::move(c));
  }
  return all;
}

}  // namespace

std::vector<Message> read_messages(const std::string& json) {
  std::vector<Message> messages;
  for (const nlohmann::json& message : nlohmann::json::parse(json)) messages.push_back(read_message(message));
  return messages;
}

std::string demo_folder() { return source_path("models/demo"); }

const std::vector<Conversation>& conversations() {
  static const std::vector<Conversation> all = read_conversations();
  return all;
}

const Conversation& conversation(const std::string& name) {
  for (const Conversation& c : conversations())
    if (c.name == name) return c;
  throw std::runtime_error("no conversation " + name);
}

std::shared_ptr<Engine> demo_engine(std::int64_t chunk, int threads, Compute compute) {
  static std::map<std::tuple<std::int64_t, int, Compute>, std::shared_ptr<Engine>> engines;
  std::shared_ptr<Engine>& engine = engines[{chunk, threads, compute}];
  if (!engine) {
    EngineOptions options;
    options.model = demo_folder();
    options.chunk = chunk;
    options.threads = threads;
    options.compute = compute;
    engine = Engine::open(options);
  }
  return engine;
}

}  // namespace g3n::testing
