// g3n inspect: what a folder, bundle or GGUF file holds and what it will take, from its config and headers alone; no
// weight is read.
#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "audio/audio_tower.h"
#include "commands.h"
#include "console.h"
#include "json_text.h"
#include "kernels/ops.h"
#include "local_model.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/components.h"
#include "text/text_model.h"
#include "vision/vision_tower.h"
#include "weights/shape_lister.h"
#include "weights/tensor_names.h"

namespace g3n::cli {
namespace {

using TensorMap = std::map<std::string, const TensorInfo*>;

// Which part of the model a canonical tensor name belongs to; the first that is found in the name.
struct ComponentRule {
  const char* fragment;
  const char* component;
};
constexpr ComponentRule kRules[] = {
    {"model.vision_tower.", "vision tower"},
    {"model.embed_vision.", "vision embedder"},
    {"model.audio_tower.", "audio tower"},
    {"model.embed_audio.", "audio embedder"},
    {".embed_tokens_per_layer.", "per-layer table"},
    {".embed_tokens.", "embed_tokens and head"},
    {".per_layer_", "per-layer inputs"},
    {".post_per_layer_input_norm.", "per-layer inputs"},
    {".self_attn.", "attention"},
    {".mlp.", "feed-forward"},
    {".altup", "AltUp"},
    {".laurel.", "LAuReL"},
    {"norm.", "norms"},
};
constexpr const char* kOther = "other";
constexpr const char* kOrder[] = {"embed_tokens and head",
                                  "per-layer table",
                                  "per-layer inputs",
                                  "attention",
                                  "feed-forward",
                                  "AltUp",
                                  "LAuReL",
                                  "norms",
                                  "vision tower",
                                  "vision embedder",
                                  "audio tower",
                                  "audio embedder",
                                  kOther};

std::string component_of(const std::string& name) {
  for (const ComponentRule& rule : kRules)
    if (name.find(rule.fragment) != std::string::npos) return rule.component;
  return kOther;
}

struct Component {
  std::string name;
  int64_t tensors = 0, parameters = 0;
  BytesNeeded bytes{};
  std::map<DType, int64_t> formats;  // bytes of each
};

// Tensors of a bundle as the checkpoint had them: names, shapes and packed bytes. A table beside a matrix of its name
// (embed_tokens) keeps its ending.
std::map<std::string, TensorInfo> tensors_of(const Bundle& bundle) {
  std::map<std::string, TensorInfo> out;
  for (const auto& [name, entry] : bundle.entries()) {
    std::string plain =
        name.ends_with(kTableEnding) ? name.substr(0, name.size() - std::string_view(kTableEnding).size()) : name;
    if (plain != name && bundle.find(plain)) plain = name;
    out[plain] = {.name = plain,
                  .dtype = entry.what.dtype,
                  .shape = entry.what.shape,
                  .bytes = entry.what.bytes,
                  .file = bundle.path()};
  }
  return out;
}
TensorMap pointers(const std::map<std::string, TensorInfo>& tensors) {
  TensorMap out;
  for (const auto& [name, tensor] : tensors) out[name] = &tensor;
  return out;
}

// What the model binds and what the files have, laid side by side.
class Contents {
 public:
  explicit Contents(const std::string& path)
      : checkpoint(open_checkpoint(path)),
        top(checkpoint.config),
        text(TextConfig::from(top)),
        bundled_(checkpoint.bundle ? tensors_of(*checkpoint.bundle) : std::map<std::string, TensorInfo>{}),
        tensors(checkpoint.bundle ? pointers(bundled_) : canonical_tensors(*checkpoint.source)),
        lister_(tensors) {
    TextModel(text).bind(lister_);
    has_vision = has_component(checkpoint, Component::kVision);
    has_audio = has_component(checkpoint, Component::kAudio);
    if (has_vision) VisionTower(VisionConfig::from(top)).bind(lister_);
    if (has_audio) AudioTower(AudioConfig::from(top)).bind(lister_);
    for (const ListedTensor& tensor : lister_.listed()) {
      const auto found = tensors.find(tensor.name);
      if (tensor.kind == TensorKind::kIgnored)
        dead.insert(tensor.name);
      else if (found == tensors.end() && !tensor.optional)
        missing.insert(tensor.name);
      bound.insert(tensor.name);
      if (tensors.contains(tensor.name + kTableEnding)) bound.insert(tensor.name + kTableEnding);
    }
  }

  std::vector<Component> components() const {
    std::vector<Component> all;
    for (const char* name : kOrder) {
      Component component{name};
      std::vector<ListedTensor> members;
      std::set<std::string> counted;
      for (const ListedTensor& tensor : lister_.listed()) {
        if (tensor.kind == TensorKind::kIgnored || component_of(tensor.name) != name) continue;
        if (!tensors.contains(tensor.name)) continue;
        members.push_back(tensor);
        if (!counted.insert(tensor.name).second) continue;  // the tied head
        ++component.tensors;
        component.parameters += element_count(tensor.shape);
        for (const std::string& stored : {tensor.name, tensor.name + kTableEnding})
          if (const auto found = tensors.find(stored); found != tensors.end())
            component.formats[found->second->dtype] += found->second->bytes;
      }
      component.bytes = checkpoint.bundle ? mapped_alone(component) : total_bytes_needed(members, tensors);
      if (component.tensors > 0) all.push_back(component);
    }
    return all;
  }

  // Sums over tensors of the files that satisfy `which`.
  template <typename Predicate>
  Component in_files(const std::string& name, Predicate which) const {
    Component sum{name};
    for (const auto& [tensor_name, info] : tensors) {
      if (!which(tensor_name)) continue;
      ++sum.tensors;
      sum.parameters += element_count(info->shape);
      sum.bytes.file += info->bytes;
    }
    return sum;
  }

  std::string kind() const {
    return checkpoint.bundle ? "bundle" : std::filesystem::is_directory(checkpoint.path) ? "folder" : "GGUF";
  }
  const char* note(const std::string& name) const {
    return dead.contains(name) ? "dead" : bound.contains(name) ? "" : "not used";
  }

  Checkpoint checkpoint;
  Config top;
  TextConfig text;

 private:
  // Nothing of a bundle is copied.
  static BytesNeeded mapped_alone(const Component& component) {
    BytesNeeded out;
    for (const auto& [dtype, bytes] : component.formats) out.file += bytes;
    out.mapped = out.file;
    return out;
  }

  std::map<std::string, TensorInfo> bundled_;

 public:
  TensorMap tensors;
  bool has_vision = false, has_audio = false;
  std::set<std::string> dead, missing, bound;  // canonical names

 private:
  ShapeLister lister_;
};

// Bytes of K and V of one conversation.
int64_t kv_cache_bytes(const TextConfig& c, int64_t context, int64_t chunk, DType dtype) {
  int64_t bytes = 0;
  for (int64_t layer = 0; layer < c.first_shared_layer(); ++layer) {
    const bool sliding = c.layer_types[static_cast<size_t>(layer)] == LayerType::kSliding;
    const int64_t ring = round_up(c.sliding_window - 1 + std::min(chunk, context) + 31, 32);
    bytes += kv_page_bytes(dtype, c.num_key_value_heads, c.head_dim,
                           sliding ? std::min(ring, round_up(context, 32)) : round_up(context, 32));
  }
  return bytes;
}

std::string grouped(int64_t value) {
  std::string digits = std::to_string(value);
  for (int at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3) digits.insert(static_cast<size_t>(at), 1, ',');
  return digits;
}

// "512", or "8192 and 16384" where layers differ.
std::string distinct(const std::vector<int64_t>& values) {
  const std::set<int64_t> all(values.begin(), values.end());
  std::string text;
  for (const int64_t value : all) text += (text.empty() ? "" : " and ") + std::to_string(value);
  return text;
}

std::string padded(const std::string& text, int width) {
  const int missing = std::abs(width) - static_cast<int>(text.size());
  const std::string spaces(static_cast<size_t>(std::max(missing, 0)), ' ');
  return width < 0 ? spaces + text : text + spaces;
}

std::string component_row(const std::string& name, const std::string& tensors, const std::string& parameters,
                          const std::string& file, const std::string& memory, const std::string& mapped,
                          const std::string& formats = "") {
  return padded(name, 24) + padded(tensors, -8) + padded(parameters, -16) + padded(file, -12) + padded(memory, -12) +
         padded(mapped, -12) + (formats.empty() ? "" : "  " + formats) + "\n";
}
std::string bytes_or_dash(int64_t bytes) { return bytes == 0 ? "-" : format_bytes(bytes); }
// "q4, q8": the one that takes most first.
std::vector<std::string> format_names(const Component& c) {
  std::vector<std::pair<int64_t, std::string>> all;
  for (const auto& [dtype, bytes] : c.formats) all.emplace_back(-bytes, format_name(dtype));
  std::sort(all.begin(), all.end());
  std::vector<std::string> names;
  for (const auto& [bytes, name] : all) names.push_back(name);
  return names;
}
std::string component_row(const Component& c) {
  std::string formats;
  for (const std::string& name : format_names(c)) formats += (formats.empty() ? "" : ", ") + name;
  return component_row(c.name, std::to_string(c.tensors), grouped(c.parameters), format_bytes(c.bytes.file),
                       bytes_or_dash(c.bytes.packed), bytes_or_dash(c.bytes.mapped), formats);
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (const int64_t dim : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(dim);
  return text + "]";
}

Component total(const std::vector<Component>& components) {
  Component sum{"total"};
  for (const Component& c : components) {
    sum.tensors += c.tensors;
    sum.parameters += c.parameters;
    sum.bytes.file += c.bytes.file;
    sum.bytes.packed += c.bytes.packed;
    sum.bytes.mapped += c.bytes.mapped;
    for (const auto& [dtype, bytes] : c.formats) sum.formats[dtype] += bytes;
  }
  return sum;
}

class Report {
 public:
  Report(const Contents& contents, const Options& options)
      : c_(contents), components_(contents.components()), verified_(options.verify) {
    context_ = std::min(options.engine.context ? options.engine.context : c_.text.max_position_embeddings,
                        c_.text.max_position_embeddings);
    kv_dtype_ = cache_dtype(options.engine);
    kv_bytes_ = kv_cache_bytes(c_.text, context_, options.engine.chunk, kv_dtype_);
    dead_ = c_.in_files("dead (never read)", [this](const std::string& name) { return c_.dead.contains(name); });
    unused_ =
        c_.in_files("not part of the model", [this](const std::string& name) { return !c_.bound.contains(name); });
  }

  std::string text() const {
    std::string out = c_.checkpoint.path + "\n" + config_text() + "\n" +
                      component_row("component", "tensors", "parameters", "in files", "in memory", "mapped", "formats");
    for (const Component& component : components_) out += component_row(component);
    out += component_row(total(components_));
    for (const Component& extra : {dead_, unused_})
      if (extra.tensors > 0)
        out += component_row(extra.name, std::to_string(extra.tensors), grouped(extra.parameters),
                             format_bytes(extra.bytes.file), "", "");
    out += "\nKV cache: " + format_bytes(kv_bytes_) + " for " + std::to_string(context_) + " positions in " +
           dtype_name(kv_dtype_) +
           ". Encoders are loaded when the first picture or sound comes; mapped tables stay on disk.\n";
    if (!c_.missing.empty())
      out += std::to_string(c_.missing.size()) + " tensors are missing, the first is " + *c_.missing.begin() + "\n";
    return out;
  }

  std::string tensors_text() const {
    std::string out = "\n";
    for (const auto& [name, info] : c_.tensors)
      out += padded(name, 72) + " " + padded(dtype_name(info->dtype), 5) + padded(shape_text(info->shape), 24) +
             padded(format_bytes(info->bytes), -10) + "  " + padded(c_.note(name), 9) + info->file + "\n";
    return out;
  }

  std::string json(bool with_tensors) const {
    JsonObject object = config_json();
    JsonList list;
    for (const Component& component : components_) list.push_back({component_json(component)});
    object.push_back({"components", {std::move(list)}});
    object.push_back({"total", {component_json(total(components_))}});
    object.push_back({"dead", {component_json(dead_)}});
    object.push_back({"not_used", {component_json(unused_)}});
    JsonList missing;
    for (const std::string& name : c_.missing) missing.push_back({name});
    object.push_back({"missing", {std::move(missing)}});
    object.push_back(
        {"kv_cache",
         {JsonObject{
             {"positions", {context_}}, {"dtype", {std::string(dtype_name(kv_dtype_))}}, {"bytes", {kv_bytes_}}}}});
    if (with_tensors) object.push_back({"tensors", {tensors_json()}});
    return to_json({std::move(object)}) + "\n";
  }

 private:
  std::string config_text() const {
    const TextConfig& t = c_.text;
    const auto full = std::count(t.layer_types.begin(), t.layer_types.end(), LayerType::kFull);
    const auto sparse = std::count_if(t.activation_sparsity_pattern.begin(), t.activation_sparsity_pattern.end(),
                                      [](double s) { return s > 0; });
    const auto n = [](int64_t value) { return std::to_string(value); };
    std::string out = "text      " + n(t.num_hidden_layers) + " layers (" + n(full) + " full, the others a window of " +
                      n(t.sliding_window) + "; " + n(t.first_shared_layer()) + " own K and V; " + n(sparse) +
                      " with sparsity), hidden " + n(t.hidden_size) + ", " + n(t.num_attention_heads) + " heads over " +
                      n(t.num_key_value_heads) + " KV heads of " + n(t.head_dim) + ", ffn " +
                      distinct(t.intermediate_size) + "\n" + "          " + n(t.altup_num_inputs) +
                      " AltUp streams, LAuReL rank " + n(t.laurel_rank) + ", per-layer inputs of " +
                      n(t.hidden_size_per_layer_input) + ", " + n(t.vocab_size) + " ids, " +
                      n(t.max_position_embeddings) + " positions\n";
    const ProcessorConfig& processor = c_.checkpoint.processor;
    out += "vision    " +
           (c_.has_vision ? "MobileNetV5, pictures of " + n(processor.image_width) + " x " + n(processor.image_height) +
                                " to " + n(VisionConfig::from(c_.top).soft_tokens_per_image) + " soft tokens"
                          : std::string("not in this checkpoint")) +
           "\n";
    if (c_.has_audio) {
      const AudioConfig audio = AudioConfig::from(c_.top);
      out += "audio     " + n(audio.layers) + " conformer blocks, hidden " + n(audio.hidden) + ", " +
             n(audio.soft_tokens) + " soft tokens a clip\n";
    } else {
      out += "audio     not in this checkpoint\n";
    }
    const GenerationConfig& generation = c_.checkpoint.generation;
    out += "sampling  temperature " + format_number(generation.sampling.temperature, 2) + ", top-k " +
           n(generation.sampling.top_k) + ", top-p " + format_number(generation.sampling.top_p, 2) + ", stop ids";
    for (const int32_t id : generation.stop_ids) (out += ' ') += n(id);
    return out + "\ntokenizer " + (c_.checkpoint.tokenizer ? "yes" : "no") + "\n" +
           (c_.checkpoint.bundle ? "bundle    recipe " + c_.checkpoint.bundle->recipe() + ", checksum " +
                                       c_.checkpoint.bundle->checksum() + (verified_ ? " (verified)" : "") + "\n"
                                 : "");
  }

  JsonObject config_json() const {
    const TextConfig& t = c_.text;
    JsonList ffn;
    for (const int64_t width : t.intermediate_size) ffn.push_back({width});
    return {{"path", {c_.checkpoint.path}},
            {"format", {c_.kind()}},
            {"recipe", {c_.checkpoint.bundle ? c_.checkpoint.bundle->recipe() : std::string()}},
            {"text",
             {JsonObject{{"layers", {t.num_hidden_layers}},
                         {"kv_layers", {t.first_shared_layer()}},
                         {"hidden_size", {t.hidden_size}},
                         {"heads", {t.num_attention_heads}},
                         {"kv_heads", {t.num_key_value_heads}},
                         {"head_dim", {t.head_dim}},
                         {"intermediate_size", {std::move(ffn)}},
                         {"sliding_window", {t.sliding_window}},
                         {"vocab_size", {t.vocab_size}},
                         {"max_position_embeddings", {t.max_position_embeddings}}}}},
            {"has_vision", {c_.has_vision}},
            {"has_audio", {c_.has_audio}},
            {"has_tokenizer", {c_.checkpoint.tokenizer != nullptr}}};
  }

  static JsonObject component_json(const Component& c) {
    JsonList formats;
    for (const std::string& name : format_names(c)) formats.push_back({name});
    return {{"name", {c.name}},
            {"tensors", {c.tensors}},
            {"parameters", {c.parameters}},
            {"file_bytes", {c.bytes.file}},
            {"memory_bytes", {c.bytes.packed}},
            {"mapped_bytes", {c.bytes.mapped}},
            {"formats", {std::move(formats)}}};
  }

  JsonList tensors_json() const {
    JsonList list;
    for (const auto& [name, info] : c_.tensors) {
      JsonList shape;
      for (const int64_t dim : info->shape) shape.push_back({dim});
      list.push_back({JsonObject{{"name", {name}},
                                 {"dtype", {std::string(dtype_name(info->dtype))}},
                                 {"shape", {std::move(shape)}},
                                 {"bytes", {info->bytes}},
                                 {"file", {info->file}},
                                 {"note", {std::string(c_.note(name))}}}});
    }
    return list;
  }

  const Contents& c_;
  std::vector<Component> components_;
  Component dead_, unused_;
  bool verified_ = false;  // against its checksum
  int64_t context_ = 0, kv_bytes_ = 0;
  DType kv_dtype_ = DType::kF32;
};

void verify(const Contents& contents) {
  if (!contents.checkpoint.bundle)
    throw Error(
        ErrorCode::kInvalidArgument,
        contents.checkpoint.path + ": expected a bundle, which has a checksum, found another kind of checkpoint");
  contents.checkpoint.bundle->verify(percent_status("reading"));
  clear_status();
}

}  // namespace

int inspect(const Options& options) {
  const Contents contents(find_model_folder(options));
  if (options.verify) verify(contents);
  const Report report(contents, options);
  if (options.json)
    write_stdout(report.json(options.tensors));
  else
    write_stdout(report.text() + (options.tensors ? report.tensors_text() : ""));
  return kExitDone;
}

}  // namespace g3n::cli
