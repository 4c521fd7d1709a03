#include "checkpoint/checkpoint.h"

#include <filesystem>
#include <utility>

#include "checkpoint/checkpoint_folder.h"
#include "g3n/error.h"
#include "checkpoint/gguf_checkpoint.h"
#include "checkpoint/safetensors_folder.h"
#include "checkpoint/towers.h"
#include "tokenizer/chat_template.h"

namespace g3n {
namespace {

// What folders and bundles share: all but the weights.
Checkpoint read_files(const std::string& path, FileSet files) {
  Config config = Config::parse(std::string(files.text("config.json")), files.path("config.json"));
  GenerationConfig generation = GenerationConfig::load(files, config);
  ProcessorConfig processor = ProcessorConfig::load(files);
  return {.path = path,
          .config = std::move(config),
          .generation = std::move(generation),
          .processor = std::move(processor),
          .tokenizer = Tokenizer::is_in(files)    ? Tokenizer::load(files)
                       : files.has(kGgufKeysFile) ? load_gguf_tokenizer(files)
                                                  : nullptr,
          .chat_template = find_chat_template(files),
          .source = nullptr,
          .bundle = nullptr,
          .files = std::move(files)};
}

// gguf: read already, or null for what is no GGUF file.
Checkpoint open_one(const std::string& path, std::shared_ptr<const GgufFile> gguf) {
  if (gguf) return open_gguf_checkpoint(std::move(gguf));
  if (std::filesystem::is_regular_file(path) && Bundle::is_bundle(path)) {
    const std::shared_ptr<const Bundle> bundle = Bundle::open(path);
    Checkpoint checkpoint = read_files(path, bundle->files());
    checkpoint.bundle = bundle;
    return checkpoint;
  }
  check_model_folder(path);
  Checkpoint checkpoint = read_files(path, FileSet::folder(path));
  checkpoint.source = open_safetensors_folder(path);
  return checkpoint;
}

// What goes wrong with the file of --mmproj names it so.
template <typename F>
auto of_mmproj(F&& f) {
  try {
    return f();
  } catch (const Error& error) {
    throw Error(error.code(), std::string("mmproj: ") + error.what());
  }
}

}  // namespace

Checkpoint open_checkpoint(const std::string& path) { return open_one(path, read_gguf(path)); }

Checkpoint open_checkpoint(const ModelPaths& paths) {
  std::shared_ptr<const GgufFile> text = read_gguf(paths.model), towers;
  if (paths.mmproj.empty()) return open_one(paths.model, text);
  of_mmproj([&] { towers = read_gguf(paths.mmproj); });
  const bool is_swapped = is_mmproj(text.get()) && !is_mmproj(towers.get());
  if (is_swapped) std::swap(text, towers);
  Checkpoint checkpoint = open_one(is_swapped ? paths.mmproj : paths.model, text);
  const std::string& towers_path = is_swapped ? paths.model : paths.mmproj;
  of_mmproj([&] { attach_towers(towers ? open_gguf_towers(towers) : open_one(towers_path, nullptr), checkpoint); });
  return checkpoint;
}

Checkpoint open_checkpoint_or_towers(const ModelPaths& paths) {
  if (!paths.mmproj.empty()) return open_checkpoint(paths);
  const std::shared_ptr<const GgufFile> file = read_gguf(paths.model);
  return is_mmproj(file.get()) ? open_gguf_towers(file) : open_one(paths.model, file);
}

}  // namespace g3n
