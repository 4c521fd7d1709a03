#include "checkpoint/towers.h"

#include <utility>

#include "checkpoint/components.h"
#include "g3n/error.h"
#include "json/tree.h"
#include "json/writer.h"
#include "text/text_config.h"

namespace g3n {
namespace {

constexpr const char* kConfig = "config.json";

JsonObject object_of(const FileSet& files) {
  const JsonNode node =
      parse_json_tree(files.text(kConfig), files.path(kConfig), {.non_finite = JsonNonFinite::kPython});
  return node.object() ? *node.object() : JsonObject{};
}

const JsonNode* find(const JsonObject& object, const std::string& key) {
  for (const auto& [name, value] : object)
    if (name == key) return &value;
  return nullptr;
}
void set(JsonObject& object, const std::string& key, JsonNode value) {
  for (auto& [name, old] : object)
    if (name == key) {
      old = std::move(value);
      return;
    }
  object.push_back({key, std::move(value)});
}

// A text-only export has the keys of the text model at the top: they move into text_config, where towers look for them.
JsonObject with_text_config(JsonObject top) {
  if (find(top, "text_config") || !find(top, "hidden_size")) return top;
  JsonObject out = {{"model_type", {std::string("gemma3n")}}};
  for (const char* key : {"eos_token_id", "tie_word_embeddings", "image_token_id", "audio_token_id"})
    if (const JsonNode* value = find(top, key)) out.push_back({key, *value});
  out.push_back({"text_config", {std::move(top)}});
  return out;
}

// Takes one tower's part of the config; its place among the ids is the text model's if that knows one.
void take_part(const JsonObject& from, const std::string& kind, JsonObject& to) {
  const bool is_image = kind == "image";
  const std::string part = is_image ? "vision_config" : "audio_config", id = kind + "_token_id",
                    soft_tokens = is_image ? "vision_soft_tokens_per_image" : "audio_soft_tokens_per_image";
  if (const JsonNode* own = find(from, id); own && !find(to, id)) set(to, id, *own);
  const JsonNode* taken = find(from, part);
  JsonObject object = taken && taken->object() ? *taken->object() : JsonObject{};
  if (const JsonNode* old = find(to, part))
    if (const JsonNode* offset = old->find("vocab_offset")) set(object, "vocab_offset", *offset);
  set(to, part, {std::move(object)});
  const JsonNode* tokens = find(from, soft_tokens);
  set(to, soft_tokens, tokens ? *tokens : JsonNode{});  // null: the default
}

int64_t hidden_size(const Config& top) { return TextConfig::from(top).hidden_size; }

// What the towers' projections end in, as their file says; 0: it does not.
int64_t projected_size(const Config& top) {
  const Config text = top.has("text_config") || !top.has("hidden_size") ? top.object("text_config") : top;
  return text.integer("hidden_size", 0);
}

}  // namespace

void attach_towers(const Checkpoint& towers, Checkpoint& text) {
  const bool has_vision = has_component(towers, Component::kVision),
             has_audio = has_component(towers, Component::kAudio);
  if (!has_vision && !has_audio)
    throw Error(ErrorCode::kUnsupported,
                towers.path +
                    ": expected a vision or audio tower (an mmproj file, or a folder or bundle of the whole "
                    "model), found neither");
  const int64_t wanted = hidden_size(text.config), found = projected_size(towers.config);
  if (found != 0 && found != wanted)
    throw Error(ErrorCode::kBadFile, towers.path + ": expected towers that end in vectors of " +
                                         std::to_string(wanted) + " values, the hidden size of " + text.path +
                                         ", found " + std::to_string(found) + ": they belong to another model");
  const WeightFiles files{towers.path, towers.source, towers.bundle};
  JsonObject top = with_text_config(object_of(text.files));
  const JsonObject from = object_of(towers.files);
  if (has_vision) {
    take_part(from, "image", top);
    text.vision = files;
    text.processor.image_width = towers.processor.image_width;
    text.processor.image_height = towers.processor.image_height;
    text.processor.rescale_factor = towers.processor.rescale_factor;
  }
  if (has_audio) {
    take_part(from, "audio", top);
    text.audio = files;
    text.processor.mel = towers.processor.mel;
  }
  const std::string config = to_json({std::move(top)}, {.indent = 2, .non_finite = JsonNonFinite::kPython});
  text.config = Config::parse(config, text.files.path(kConfig) + " with " + towers.path);
  text.files = text.files.with(
      {{kConfig, config}, {"preprocessor_config.json", {}}, {"processor_config.json", text.processor.as_file()}});
}

}  // namespace g3n
