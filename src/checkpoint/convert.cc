#include "checkpoint/convert.h"

#include <filesystem>
#include <map>
#include <memory>
#include <vector>

#include "audio/audio_tower.h"
#include "checkpoint/find_model.h"
#include "core/arena.h"
#include "core/mapped_file.h"
#include "formats/safetensors_writer.h"
#include "g3n/error.h"
#include "checkpoint/components.h"
#include "checkpoint/gguf_checkpoint.h"
#include "text/text_model.h"
#include "vision/vision_tower.h"
#include "weights/bundle_checksum.h"
#include "weights/loader.h"
#include "weights/tensor_names.h"

namespace g3n {
namespace {

constexpr const char* kFiles[] = {"config.json",
                                  "generation_config.json",
                                  "preprocessor_config.json",
                                  "processor_config.json",
                                  "tokenizer.model",
                                  "tokenizer.json",
                                  "tokenizer_config.json",
                                  "special_tokens_map.json",
                                  "chat_template.jinja",
                                  "chat_template.json",
                                  kGgufKeysFile};
constexpr int64_t kAlign = static_cast<int64_t>(kAlignment);

// One component's weights, planned and packed.
struct PackedPart {
  std::unique_ptr<Loader> loader;
  size_t first;  // of its tensors in the file
};

// Binds text and, where they are there, the towers to a streaming loader each.
std::vector<PackedPart> plan_components(const Checkpoint& c, const ConvertOptions& options) {
  std::vector<PackedPart> parts;
  const auto add = [&](Component component) -> Loader& {
    parts.push_back({std::make_unique<Loader>(files_of(c, component).source,
                                              LoaderOptions{.pool = options.pool,
                                                            .log = options.log,
                                                            .components = component_prefixes(component),
                                                            .recipe = options.recipe,
                                                            .mode = LoadMode::kStream}),
                     0});
    return *parts.back().loader;
  };
  TextModel(TextConfig::from(c.config)).bind(add(Component::kText));
  if (has_component(c, Component::kVision)) VisionTower(VisionConfig::from(c.config)).bind(add(Component::kVision));
  if (has_component(c, Component::kAudio)) AudioTower(AudioConfig::from(c.config)).bind(add(Component::kAudio));
  for (const PackedPart& part : parts) part.loader->check();
  return parts;
}

// Weights of a bundle are packed already.
void refuse_bundles(const Checkpoint& c) {
  for (const Component component : {Component::kText, Component::kVision, Component::kAudio})
    if (const WeightFiles files = files_of(c, component); !files.source)
      throw Error(
          ErrorCode::kUnsupported,
          files.path + ": expected a checkpoint folder or a GGUF file, found a bundle: its weights are packed already");
}

ModelPaths paths_of(const Checkpoint& c) { return {c.path, c.vision ? c.vision->path : c.audio ? c.audio->path : ""}; }

// Bytes that are read: all of the model's file, and the towers of another one.
int64_t source_bytes_of(const Checkpoint& c) {
  int64_t sum = 0;
  for (const auto& [name, tensor] : c.source->tensors()) sum += tensor.bytes;
  for (const Component component : {Component::kVision, Component::kAudio}) {
    const auto& files = component == Component::kVision ? c.vision : c.audio;
    if (!files) continue;
    for (const auto& [name, tensor] : canonical_tensors(*files->source))
      for (const std::string& prefix : component_prefixes(component))
        if (name.starts_with(prefix)) sum += tensor->bytes;
  }
  return sum;
}

void check_room(const std::string& out, int64_t bytes) {
  std::error_code ignored;
  const std::filesystem::path folder = std::filesystem::absolute(out).parent_path();
  const std::filesystem::space_info space = std::filesystem::space(folder, ignored);
  if (!ignored && space.available < static_cast<uintmax_t>(bytes))
    throw Error(ErrorCode::kInvalidArgument, out + ": the bundle needs " + std::to_string(bytes) +
                                                 " bytes, the disk has " + std::to_string(space.available) + " left");
}

}  // namespace

void check_bundle_target(const std::string& out, const ModelPaths& checkpoint, bool replace) {
  check_target(out, {.replace = replace, .sources = model_files(checkpoint)});
}

void convert_to_bundle(const Checkpoint& c, const std::string& out, const ConvertOptions& options) {
  refuse_bundles(c);
  const WriteRules rules{.replace = options.replace, .sources = model_files(paths_of(c))};
  check_target(out, rules);
  std::vector<PackedPart> parts = plan_components(c, options);
  Metadata metadata = {{"bundle.checksum", BundleChecksum::nothing()},
                       {"bundle.recipe", options.recipe.name()},
                       {"bundle.version", std::to_string(kBundleVersion)}};
  std::vector<TensorDeclaration> declared;
  std::vector<std::string_view> files;
  const int64_t source_bytes = source_bytes_of(c);
  int64_t total = 0;
  const auto declare = [&](const std::string& name, int64_t bytes) {
    declared.push_back({name, DType::kU8, {round_up(bytes, kAlign)}});
    total += declared.back().shape[0];
  };
  for (const char* name : kFiles) {
    if (!c.files.has(name)) continue;
    const std::string_view text = c.files.text(name);
    files.push_back(text);
    metadata[kFileBeginning + std::string(name)] = std::to_string(text.size());
    declare(kFileBeginning + std::string(name), static_cast<int64_t>(text.size()));
  }
  for (PackedPart& part : parts) {
    part.first = declared.size();
    for (const PackedTensor& tensor : part.loader->plan()) {
      metadata[tensor.name] = describe(tensor);
      declare(tensor.name, tensor.bytes);
    }
  }
  check_room(out, total);

  BundleChecksum checksum;
  SafetensorsWriter writer(out, declared, metadata, rules);
  const std::vector<std::byte> zeros(kAlignment);
  // Bytes of tensor `index`, with its padding behind the last.
  const auto write = [&](size_t index, int64_t offset, std::span<const std::byte> bytes, int64_t all) {
    writer.write(index, offset, bytes);
    checksum.update(bytes);
    if (offset + static_cast<int64_t>(bytes.size()) == all)
      checksum.update(std::span(zeros).first(static_cast<size_t>(declared[index].shape[0] - all)));
  };
  for (size_t i = 0; i < files.size(); ++i)
    write(i, 0, std::as_bytes(std::span(files[i])), static_cast<int64_t>(files[i].size()));
  int64_t done = 0;
  for (PackedPart& part : parts) {
    const std::vector<PackedTensor> plan = part.loader->plan();
    part.loader->pack_each(
        [&](size_t i, int64_t offset, std::span<const std::byte> bytes) {
          write(part.first + i, offset, bytes, plan[i].bytes);
        },
        [&](int64_t used) {
          done += used;
          if (options.progress) options.progress(std::min(done, source_bytes), source_bytes);
        });
  }
  if (options.progress) options.progress(source_bytes, source_bytes);
  throw_if_damaged();  // zeros would be packed for what was lost
  writer.set_metadata("bundle.checksum", checksum.text());
  writer.finish();
}

}  // namespace g3n
