#include "checkpoint/gguf_checkpoint.h"

#include <map>
#include <memory>
#include <span>
#include <utility>

#include "core/printable.h"
#include "formats/gguf.h"
#include "g3n/error.h"
#include "checkpoint/gguf_config.h"
#include "checkpoint/gguf_source.h"
#include "checkpoint/gguf_vocabulary.h"

namespace g3n {
namespace {

constexpr const char* kTokens = "tokenizer.ggml.tokens";

// The small files that a folder of this model would have; the keys of the GGUF file stand for the tokenizer's.
FileSet small_files(const GgufMetadata& keys, const GgufConfigs& configs,
                    const std::optional<std::string>& chat_template) {
  auto texts = std::make_shared<std::map<std::string, std::string>>();
  (*texts)["config.json"] = configs.config_json;
  (*texts)["generation_config.json"] = configs.generation_json;
  if (keys.has(kTokens)) (*texts)[kGgufKeysFile] = keys.as_file();
  if (chat_template) (*texts)["chat_template.jinja"] = *chat_template;
  std::map<std::string, std::span<const std::byte>> files;
  for (const auto& [name, text] : *texts) files[name] = std::as_bytes(std::span(text));
  return FileSet(keys.where(), std::move(files), texts);
}

// "gemma3n", or "clip": a file of the vision and audio towers.
std::string architecture(const GgufFile& file) {
  const std::string key = "general.architecture";
  const std::string name = file.metadata().text(key);
  if (name != "gemma3n" && name != "clip")
    throw Error(ErrorCode::kUnsupported, file.path() + ": " + key + ": a model of architecture \"" +
                                             printable_start(name, 60) +
                                             "\", expected \"gemma3n\" (or \"clip\": its towers)");
  return name;
}

}  // namespace

std::unique_ptr<Tokenizer> load_gguf_tokenizer(const FileSet& files) {
  const std::string_view bytes = files.text(kGgufKeysFile);
  return std::make_unique<Tokenizer>(
      read_gguf_vocabulary(parse_gguf(std::as_bytes(std::span(bytes)), files.path(kGgufKeysFile)).metadata));
}

Checkpoint open_gguf_checkpoint(const std::string& path) {
  auto file = std::make_shared<const GgufFile>(path);
  const GgufMetadata& keys = file->metadata();
  if (architecture(*file) == "clip")
    throw Error(ErrorCode::kUnsupported,
                path + ": a GGUF file of the vision and audio towers alone (mmproj), expected that of the text model");
  GgufConfigs configs = read_gguf_configs(*file);
  Checkpoint checkpoint{.path = path, .config = configs.config, .generation = configs.generation};
  if (keys.has(kTokens)) checkpoint.tokenizer = std::make_unique<Tokenizer>(read_gguf_vocabulary(keys));
  const std::string chat_template = "tokenizer.chat_template";
  if (keys.is_text(chat_template)) checkpoint.chat_template = keys.text(chat_template);
  checkpoint.files = small_files(keys, configs, checkpoint.chat_template);
  checkpoint.source = gguf_tensor_source(file, configs.text_vocab);
  return checkpoint;
}

}  // namespace g3n
