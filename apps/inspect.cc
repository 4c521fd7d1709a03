// g3n inspect: what a folder, bundle or GGUF file holds and what it will take, as text or JSON.
#include "g3n/inspect.h"

#include <algorithm>
#include <set>

#include "commands.h"
#include "console.h"
#include "core/printable.h"
#include "json_text.h"
#include "load_engine.h"

namespace g3n::cli {
namespace {

std::string grouped(std::int64_t value) {
  std::string digits = std::to_string(value);
  for (int at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3) digits.insert(static_cast<size_t>(at), 1, ',');
  return digits;
}

// "512", or "8192 and 16384" where layers differ.
std::string distinct(const std::vector<std::int64_t>& values) {
  const std::set<std::int64_t> all(values.begin(), values.end());
  std::string text;
  for (const std::int64_t value : all) text += (text.empty() ? "" : " and ") + std::to_string(value);
  return text;
}

std::string padded(const std::string& text, int width) {
  const int missing = std::abs(width) - static_cast<int>(text.size());
  const std::string spaces(static_cast<size_t>(std::max(missing, 0)), ' ');
  return width < 0 ? spaces + text : text + spaces;
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (const std::int64_t dim : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(dim);
  return text + "]";
}

const char* note_of(const ModelTensor& tensor) {
  switch (tensor.use) {
    case ModelTensor::Use::kDead: return "dead";
    case ModelTensor::Use::kUnknown: return "not used";
    default: return "";
  }
}

// ---- text -----------------------------------------------------------------------------------------------------------

std::string row(const std::string& name, const std::string& tensors, const std::string& parameters,
                const std::string& file, const std::string& memory, const std::string& mapped, const std::string& token,
                const std::string& formats = "") {
  return padded(name, 24) + padded(tensors, -8) + padded(parameters, -16) + padded(file, -12) + padded(memory, -12) +
         padded(mapped, -12) + padded(token, -12) + (formats.empty() ? "" : "  " + formats) + "\n";
}
std::string bytes_or_dash(std::int64_t bytes) { return bytes == 0 ? "-" : format_bytes(bytes); }
std::string row(const ModelComponent& c) {
  std::string formats;
  for (const std::string& name : c.formats) formats += (formats.empty() ? "" : ", ") + name;
  return row(c.name, std::to_string(c.tensors), grouped(c.parameters), format_bytes(c.file_bytes),
             bytes_or_dash(c.memory_bytes), bytes_or_dash(c.mapped_bytes), bytes_or_dash(c.token_bytes), formats);
}

std::string config_text(const ModelContents& c) {
  const ModelContents::Text& t = c.text;
  const auto n = [](std::int64_t value) { return std::to_string(value); };
  std::string out = !c.has_text ? "text      not in this file: the towers of another model's text (mmproj)\n"
                                : "text      " + n(t.layers) + " layers (" + n(t.full_layers) +
                                      " full, the others a window of " + n(t.sliding_window) + "; " + n(t.kv_layers) +
                                      " own K and V; " + n(t.sparse_layers) + " with sparsity), hidden " +
                                      n(t.hidden_size) + ", " + n(t.heads) + " heads over " + n(t.kv_heads) +
                                      " KV heads of " + n(t.head_dim) + ", ffn " + distinct(t.intermediate_size) +
                                      "\n" + "          " + n(t.altup_inputs) + " AltUp streams, LAuReL rank " +
                                      n(t.laurel_rank) + ", per-layer inputs of " + n(t.per_layer_inputs) + ", " +
                                      n(t.vocab_size) + " ids, " + n(t.max_position_embeddings) + " positions\n";
  out += "vision    " +
         (c.has_vision ? "MobileNetV5, pictures of " + n(c.vision.width) + " x " + n(c.vision.height) + " to " +
                             n(c.vision.soft_tokens) + " soft tokens"
                       : std::string("not in this checkpoint")) +
         "\n";
  out += "audio     " +
         (c.has_audio ? n(c.audio.layers) + " conformer blocks, hidden " + n(c.audio.hidden_size) + ", " +
                            n(c.audio.soft_tokens) + " soft tokens a clip"
                      : std::string("not in this checkpoint")) +
         "\n";
  if (!c.mmproj.empty()) out += "towers    of " + c.mmproj + "\n";
  if (c.mmproj_beside.size() == 1)
    out += "          " + c.mmproj_beside[0] + " beside it may have them: --mmproj auto\n";
  if (c.mmproj_beside.size() > 1)
    out += "          " + c.mmproj_beside[0] + " and " + n(std::ssize(c.mmproj_beside) - 1) +
           " more beside it may have them: --mmproj FILE\n";
  if (!c.has_text) return out;
  out += "sampling  temperature " + format_number(c.sampling.temperature, 2) + ", top-k " + n(c.sampling.top_k) +
         ", top-p " + format_number(c.sampling.top_p, 2) + ", stop ids";
  for (const std::int32_t id : c.stop_ids) (out += ' ') += n(id);
  out += std::string("\ntokenizer ") + (c.has_tokenizer ? "yes" : "no") + "\n";
  if (c.kind == ModelContents::Kind::kBundle)
    out += "bundle    recipe " + c.recipe + ", checksum " + c.checksum + (c.is_verified ? " (verified)" : "") + "\n";
  return out;
}

std::string text_of(const ModelContents& c) {
  std::string out = c.path + "\n" + config_text(c) + "\n" +
                    row("component", "tensors", "parameters", "in files", "in memory", "mapped", "a token", "formats");
  for (const ModelComponent& component : c.components) out += row(component);
  out += row(c.total);
  for (const ModelComponent& extra : {c.dead, c.unknown})
    if (extra.tensors > 0)
      out += row(extra.name, std::to_string(extra.tensors), grouped(extra.parameters), format_bytes(extra.file_bytes),
                 "", "", "");
  if (c.has_text)
    out += "\nKV cache: " + format_bytes(c.kv_cache.bytes) + " for " + std::to_string(c.kv_cache.positions) +
           " positions in " + c.kv_cache.dtype +
           ". Encoders are loaded when the first picture or sound comes; mapped tables stay on disk.\n";
  for (const SlowWeights& slow : c.slow)
    out += "slow: " + slow.component + ", " + std::to_string(slow.tensors) +
           (slow.tensors == 1 ? " tensor in " : " tensors in ") + slow.format + " (" + format_bytes(slow.memory_bytes) +
           ", " + format_bytes(slow.token_bytes) + " a token): " + slow.why + "\n";
  if (!c.missing.empty())
    out += std::to_string(c.missing.size()) + " tensors are missing, the first is " + c.missing.front() + "\n";
  return out;
}

std::string tensors_text(const ModelContents& c) {
  std::string out = "\n";
  for (const ModelTensor& t : c.tensors)
    out += padded(t.name, 72) + " " + padded(t.dtype, 8) + padded(shape_text(t.shape), 24) +
           padded(format_bytes(t.bytes), -10) + "  " + padded(note_of(t), 9) + t.file + "\n";
  return out;
}

// ---- JSON -----------------------------------------------------------------------------------------------------------

template <typename T>
JsonNode list_of(const std::vector<T>& values) {
  JsonList list;
  for (const T& value : values) list.push_back({value});
  return {std::move(list)};
}

JsonObject component_json(const ModelComponent& c) {
  return {{"name", {c.name}},
          {"tensors", {c.tensors}},
          {"parameters", {c.parameters}},
          {"file_bytes", {c.file_bytes}},
          {"memory_bytes", {c.memory_bytes}},
          {"mapped_bytes", {c.mapped_bytes}},
          {"token_bytes", {c.token_bytes}},
          {"formats", list_of(c.formats)}};
}

std::string json_of(const ModelContents& c, bool with_tensors) {
  const ModelContents::Text& t = c.text;
  JsonObject object = {{"path", {c.path}},
                       {"format", {std::string(model_kind_name(c.kind))}},
                       {"recipe", {c.recipe}},
                       {"mmproj", {c.mmproj}},
                       {"has_text", {c.has_text}},
                       {"text",
                        {JsonObject{{"layers", {t.layers}},
                                    {"kv_layers", {t.kv_layers}},
                                    {"hidden_size", {t.hidden_size}},
                                    {"heads", {t.heads}},
                                    {"kv_heads", {t.kv_heads}},
                                    {"head_dim", {t.head_dim}},
                                    {"intermediate_size", list_of(t.intermediate_size)},
                                    {"sliding_window", {t.sliding_window}},
                                    {"vocab_size", {t.vocab_size}},
                                    {"max_position_embeddings", {t.max_position_embeddings}}}}},
                       {"has_vision", {c.has_vision}},
                       {"has_audio", {c.has_audio}},
                       {"has_tokenizer", {c.has_tokenizer}}};
  JsonList components;
  for (const ModelComponent& component : c.components) components.push_back({component_json(component)});
  object.push_back({"components", {std::move(components)}});
  object.push_back({"total", {component_json(c.total)}});
  object.push_back({"dead", {component_json(c.dead)}});
  object.push_back({"not_used", {component_json(c.unknown)}});
  object.push_back({"missing", list_of(c.missing)});
  JsonList slow;
  for (const SlowWeights& weights : c.slow)
    slow.push_back({JsonObject{{"component", {weights.component}},
                               {"format", {weights.format}},
                               {"tensors", {weights.tensors}},
                               {"memory_bytes", {weights.memory_bytes}},
                               {"token_bytes", {weights.token_bytes}},
                               {"why", {weights.why}}}});
  object.push_back({"slow", {std::move(slow)}});
  object.push_back(
      {"kv_cache",
       {JsonObject{
           {"positions", {c.kv_cache.positions}}, {"dtype", {c.kv_cache.dtype}}, {"bytes", {c.kv_cache.bytes}}}}});
  if (with_tensors) {
    JsonList tensors;
    for (const ModelTensor& tensor : c.tensors)
      tensors.push_back({JsonObject{{"name", {tensor.name}},
                                    {"dtype", {tensor.dtype}},
                                    {"shape", list_of(tensor.shape)},
                                    {"bytes", {tensor.bytes}},
                                    {"file", {tensor.file}},
                                    {"note", {std::string(note_of(tensor))}}}});
    object.push_back({"tensors", {std::move(tensors)}});
  }
  return to_json({std::move(object)}) + "\n";
}

}  // namespace

int inspect(const Options& options) {
  const ModelContents contents = inspect_model({.model = options.engine.model,
                                                .mmproj = options.engine.mmproj,
                                                .hub_caches = hub_cache_folders(),
                                                .ollama_folders = ollama_folders(),
                                                .context = options.engine.context,
                                                .compute = options.engine.compute,
                                                .kv_cache = options.engine.kv_cache,
                                                .verify = options.verify,
                                                .on_warning = [](const std::string& message) { warn(message); },
                                                .on_progress = percent_status("reading")});
  clear_status();
  if (options.json)
    write_stdout(json_of(contents, options.tensors));
  else
    write_stdout(text_of(contents) + (options.tensors ? tensors_text(contents) : ""));
  return kExitDone;
}

}  // namespace g3n::cli
