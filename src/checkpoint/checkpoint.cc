#include "checkpoint/checkpoint.h"

#include <filesystem>

#include "checkpoint/checkpoint_folder.h"
#include "core/file_kind.h"
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

bool is_gguf_file(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(path, ignored) && file_kind_of(path) == FileKind::kGguf;
}

}  // namespace

Checkpoint open_checkpoint(const std::string& path) {
  if (std::filesystem::is_regular_file(path) && Bundle::is_bundle(path)) {
    const std::shared_ptr<const Bundle> bundle = Bundle::open(path);
    Checkpoint checkpoint = read_files(path, bundle->files());
    checkpoint.bundle = bundle;
    return checkpoint;
  }
  if (is_gguf_file(path)) return open_gguf_checkpoint(path);
  check_model_folder(path);
  Checkpoint checkpoint = read_files(path, FileSet::folder(path));
  checkpoint.source = open_safetensors_folder(path);
  return checkpoint;
}

Checkpoint open_checkpoint(const ModelPaths& paths) {
  if (paths.mmproj.empty()) return open_checkpoint(paths.model);
  const bool is_swapped = is_mmproj_file(paths.model) && !is_mmproj_file(paths.mmproj);
  Checkpoint checkpoint = open_checkpoint(is_swapped ? paths.mmproj : paths.model);
  const std::string& towers = is_swapped ? paths.model : paths.mmproj;
  try {
    attach_towers(is_gguf_file(towers) ? open_gguf_towers(towers) : open_checkpoint(towers), checkpoint);
  } catch (const Error& error) {
    throw Error(error.code(), std::string("mmproj: ") + error.what());
  }
  return checkpoint;
}

}  // namespace g3n
