#include "checkpoint/contents.h"

#include <algorithm>
#include <filesystem>
#include <list>
#include <map>
#include <set>
#include <tuple>

#include "audio/audio_tower.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/components.h"
#include "checkpoint/decode_cost.h"
#include "g3n/error.h"
#include "text/kv_pages.h"
#include "text/text_model.h"
#include "vision/vision_tower.h"
#include "weights/shape_lister.h"
#include "weights/tensor_names.h"

namespace g3n {
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

Component part_of(const std::string& name) {
  for (const Component part : {Component::kVision, Component::kAudio})
    for (const std::string& prefix : component_prefixes(part))
      if (name.starts_with(prefix)) return part;
  return Component::kText;
}

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

// All tensors of the files by canonical name, each from the file that its part is taken from. Names of no known part
// are those of the model's file, and of a file of towers alone.
class AllTensors {
 public:
  explicit AllTensors(const Checkpoint& checkpoint) {
    add({checkpoint.path, checkpoint.source, checkpoint.bundle}, [&](const std::string& name) {
      const Component part = part_of(name);
      return part == Component::kText || !(part == Component::kVision ? checkpoint.vision : checkpoint.audio);
    });
    const std::optional<WeightFiles>& other = checkpoint.vision ? checkpoint.vision : checkpoint.audio;
    if (!other) return;
    const bool is_mmproj = !has_component(*other, Component::kText);
    add(*other, [&](const std::string& name) {
      const Component part = part_of(name);
      if (part == Component::kText) return is_mmproj;
      return (part == Component::kVision ? checkpoint.vision : checkpoint.audio).has_value();
    });
  }
  const TensorMap& map() const { return tensors_; }

 private:
  template <typename Predicate>
  void add(const WeightFiles& files, Predicate is_taken) {
    if (files.bundle) {
      for (auto& [name, tensor] : bundled_.emplace_back(tensors_of(*files.bundle)))
        if (is_taken(name)) tensors_.emplace(name, &tensor);
      return;
    }
    for (const auto& [name, tensor] : canonical_tensors(*files.source))
      if (is_taken(name)) tensors_.emplace(name, tensor);
  }

  std::list<std::map<std::string, TensorInfo>> bundled_;
  TensorMap tensors_;
};

// The most bytes first.
std::vector<std::string> format_names(const std::map<DType, int64_t>& bytes_of) {
  std::vector<std::pair<int64_t, std::string>> all;
  for (const auto& [dtype, bytes] : bytes_of) all.emplace_back(-bytes, format_name(dtype));
  std::sort(all.begin(), all.end());
  std::vector<std::string> names;
  for (const auto& [bytes, name] : all) names.push_back(name);
  return names;
}

int64_t sparse_layers(const TextConfig& config) {
  int64_t count = 0;
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) count += config.live_neurons(layer) < 1 ? 1 : 0;
  return count;
}

// What the model binds and what the files have, laid side by side.
class Contents {
 public:
  explicit Contents(const Checkpoint& checkpoint)
      : checkpoint_(checkpoint),
        has_text_(checkpoint.has_text),
        text_(TextConfig::from(checkpoint.config)),
        all_(checkpoint),
        tensors_(all_.map()),
        plan_(Recipe{}, parameter_count(tensors_)),
        lister_(tensors_) {
    if (has_text_) TextModel(text_).bind(lister_);
    has_vision_ = has_component(checkpoint, Component::kVision);
    has_audio_ = has_component(checkpoint, Component::kAudio);
    if (has_vision_) VisionTower(VisionConfig::from(checkpoint.config)).bind(lister_);
    if (has_audio_) AudioTower(AudioConfig::from(checkpoint.config)).bind(lister_);
    for (const ListedTensor& tensor : lister_.listed()) {
      if (tensor.kind == TensorKind::kIgnored)
        dead_.insert(tensor.name);
      else if (!tensors_.contains(tensor.name) && !tensor.optional)
        missing_.insert(tensor.name);
      bound_.insert(tensor.name);
      if (tensors_.contains(tensor.name + kTableEnding)) bound_.insert(tensor.name + kTableEnding);
    }
  }

  ModelContents describe(const ContentsOptions& options) const {
    ModelContents out;
    out.path = checkpoint_.path;
    if (checkpoint_.bundle) {
      out.kind = ModelContents::Kind::kBundle;
      out.recipe = checkpoint_.bundle->recipe();
      out.checksum = checkpoint_.bundle->checksum();
    } else if (!std::filesystem::is_directory(checkpoint_.path)) {
      out.kind = ModelContents::Kind::kGguf;
    }
    describe_configs(out);
    describe_components(out);
    out.dead = in_files("dead (never read)", [&](const std::string& name) { return dead_.contains(name); });
    out.unknown = in_files("not part of the model", [&](const std::string& name) { return !bound_.contains(name); });
    out.missing.assign(missing_.begin(), missing_.end());
    for (const auto& [name, info] : tensors_)
      out.tensors.push_back({.name = name,
                             .dtype = dtype_name(info->dtype),
                             .shape = info->shape,
                             .bytes = info->bytes,
                             .file = info->file,
                             .use = use_of(name)});
    if (!has_text_) return out;
    const int64_t most = text_.max_position_embeddings;
    if (options.context > most)
      throw Error(ErrorCode::kInvalidArgument, "context: expected at most " + std::to_string(most) +
                                                   " (max_position_embeddings), got " +
                                                   std::to_string(options.context));
    out.kv_cache.positions = options.context ? options.context : most;
    out.kv_cache.bytes = kv_bytes(text_, options.kv, out.kv_cache.positions);
    out.kv_cache.dtype = dtype_name(options.kv);
    return out;
  }

 private:
  void describe_configs(ModelContents& out) const {
    const TextConfig& t = text_;
    out.has_text = has_text_;
    out.has_tokenizer = checkpoint_.tokenizer != nullptr;
    out.has_vision = has_vision_;
    out.has_audio = has_audio_;
    if (checkpoint_.vision || checkpoint_.audio)
      out.mmproj = (checkpoint_.vision ? checkpoint_.vision : checkpoint_.audio)->path;
    if (has_text_ && out.kind == ModelContents::Kind::kGguf && !has_vision_ && !has_audio_)
      out.mmproj_beside = mmproj_beside(checkpoint_.path);
    if (has_text_)
      out.text = {.layers = t.num_hidden_layers,
                  .full_layers = std::count(t.layer_types.begin(), t.layer_types.end(), LayerType::kFull),
                  .kv_layers = t.first_shared_layer(),
                  .sparse_layers = sparse_layers(t),
                  .hidden_size = t.hidden_size,
                  .heads = t.num_attention_heads,
                  .kv_heads = t.num_key_value_heads,
                  .head_dim = t.head_dim,
                  .intermediate_size = t.intermediate_size,
                  .sliding_window = t.sliding_window,
                  .altup_inputs = t.altup_num_inputs,
                  .laurel_rank = t.laurel_rank,
                  .per_layer_inputs = t.hidden_size_per_layer_input,
                  .vocab_size = t.vocab_size,
                  .max_position_embeddings = t.max_position_embeddings};
    if (has_vision_)
      out.vision = {checkpoint_.processor.image_width, checkpoint_.processor.image_height,
                    VisionConfig::from(checkpoint_.config).soft_tokens_per_image};
    if (has_audio_) {
      const AudioConfig audio = AudioConfig::from(checkpoint_.config);
      out.audio = {audio.layers, audio.hidden, audio.soft_tokens};
    }
    if (!has_text_) return;
    out.sampling = checkpoint_.generation.sampling;
    out.stop_ids = checkpoint_.generation.stop_ids;
  }

  // What one token reads of a component, and what of it is slow.
  void describe_cost(const std::vector<ListedTensor>& members, ModelComponent& component, ModelContents& out) const {
    if (part_of(members.front().name) != Component::kText) return;
    std::map<std::pair<std::string, std::string>, SlowWeights> slow;  // by why and format
    for (const ListedTensor& listed : members) {
      const Bundle::Entry* entry =
          checkpoint_.bundle
              ? checkpoint_.bundle->find(listed.name + (listed.kind == TensorKind::kTable ? kTableEnding : ""))
              : nullptr;
      if (checkpoint_.bundle && !entry) continue;
      const TensorInfo& stored = *tensors_.at(listed.name);
      const DecodeCost cost =
          entry ? decode_cost(entry->what, listed.layout, text_) : decode_cost(listed, stored, plan_, text_);
      component.token_bytes += cost.token_bytes;
      if (cost.why_slow.empty()) continue;
      SlowWeights& group = slow[{cost.why_slow, format_name(entry ? entry->what.dtype : stored.dtype)}];
      ++group.tensors;
      group.memory_bytes += cost.memory_bytes;
      group.token_bytes += cost.token_bytes;
    }
    for (auto& [why_and_format, group] : slow) {
      group.component = component.name;
      std::tie(group.why, group.format) = why_and_format;
      out.slow.push_back(group);
    }
  }

  void describe_components(ModelContents& out) const {
    std::map<DType, int64_t> all_formats;
    out.total.name = "total";
    for (const char* name : kOrder) {
      ModelComponent component{.name = name};
      std::vector<ListedTensor> members;
      std::set<std::string> counted;
      std::map<DType, int64_t> formats;  // bytes of each
      for (const ListedTensor& tensor : lister_.listed()) {
        if (tensor.kind == TensorKind::kIgnored || component_of(tensor.name) != name) continue;
        if (!tensors_.contains(tensor.name)) continue;
        members.push_back(tensor);
        if (!counted.insert(tensor.name).second) continue;  // the tied head
        ++component.tensors;
        component.parameters += element_count(tensor.shape);
        for (const std::string& stored : {tensor.name, tensor.name + kTableEnding})
          if (const auto found = tensors_.find(stored); found != tensors_.end())
            formats[found->second->dtype] += found->second->bytes;
      }
      if (component.tensors == 0) continue;
      const BytesNeeded bytes = bytes_needed(members, formats);
      component.file_bytes = bytes.file;
      component.memory_bytes = bytes.packed;
      component.mapped_bytes = bytes.mapped;
      component.formats = format_names(formats);
      describe_cost(members, component, out);
      out.total.token_bytes += component.token_bytes;
      out.total.tensors += component.tensors;
      out.total.parameters += component.parameters;
      out.total.file_bytes += bytes.file;
      out.total.memory_bytes += bytes.packed;
      out.total.mapped_bytes += bytes.mapped;
      for (const auto& [dtype, taken] : formats) all_formats[dtype] += taken;
      out.components.push_back(std::move(component));
    }
    out.total.formats = format_names(all_formats);
    std::stable_sort(out.slow.begin(), out.slow.end(),
                     [](const SlowWeights& a, const SlowWeights& b) { return a.token_bytes > b.token_bytes; });
  }

  // What loading takes. Nothing of a bundle is copied.
  BytesNeeded bytes_needed(const std::vector<ListedTensor>& members, const std::map<DType, int64_t>& formats) const {
    if (!files_of(checkpoint_, part_of(members.front().name)).bundle) return total_bytes_needed(members, tensors_);
    BytesNeeded bytes;
    for (const auto& [dtype, taken] : formats) bytes.file += taken;
    bytes.mapped = bytes.file;
    return bytes;
  }

  // Sums over tensors of the files that satisfy `which`.
  template <typename Predicate>
  ModelComponent in_files(const std::string& name, Predicate which) const {
    ModelComponent sum{.name = name};
    for (const auto& [tensor_name, info] : tensors_) {
      if (!which(tensor_name)) continue;
      ++sum.tensors;
      sum.parameters += element_count(info->shape);
      sum.file_bytes += info->bytes;
    }
    return sum;
  }

  ModelTensor::Use use_of(const std::string& name) const {
    if (dead_.contains(name)) return ModelTensor::Use::kDead;
    return bound_.contains(name) ? ModelTensor::Use::kBound : ModelTensor::Use::kUnknown;
  }

  const Checkpoint& checkpoint_;
  const bool has_text_;
  const TextConfig text_;
  const AllTensors all_;
  const TensorMap& tensors_;  // by canonical name
  const PackingPlan plan_;
  ShapeLister lister_;
  bool has_vision_ = false, has_audio_ = false;
  std::set<std::string> dead_, missing_, bound_;
};

}  // namespace

const char* model_kind_name(ModelContents::Kind kind) {
  switch (kind) {
    case ModelContents::Kind::kFolder: return "folder";
    case ModelContents::Kind::kBundle: return "bundle";
    case ModelContents::Kind::kGguf: return "GGUF";
  }
  return "?";
}

ModelContents read_contents(const ModelPaths& paths, const ContentsOptions& options) {
  const Checkpoint checkpoint = open_checkpoint_or_towers(paths);
  ModelContents contents = Contents(checkpoint).describe(options);
  if (!options.verify) return contents;
  if (!checkpoint.bundle)
    throw Error(ErrorCode::kInvalidArgument,
                checkpoint.path + ": expected a bundle, which has a checksum, found another kind of checkpoint");
  checkpoint.bundle->verify(options.on_progress);
  contents.is_verified = true;
  return contents;
}

}  // namespace g3n
