#include "checkpoint/gguf_checkpoint.h"

#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <utility>

#include "core/file_kind.h"
#include "core/printable.h"
#include "formats/gguf.h"
#include "g3n/error.h"
#include "json/writer.h"
#include "checkpoint/gguf_config.h"
#include "checkpoint/gguf_source.h"
#include "checkpoint/gguf_towers.h"
#include "checkpoint/gguf_vocabulary.h"
#include "checkpoint/model_candidates.h"

namespace g3n {
namespace {

const std::string kArchitecture = "general.architecture";

[[noreturn]] void refuse_architecture(const GgufFile& file, const std::string& found, const std::string& wanted) {
  throw Error(ErrorCode::kUnsupported, file.path() + ": " + kArchitecture + ": a model of architecture \"" +
                                           printable_start(found, 60) + "\", expected " + wanted);
}

// The text models that lie beside a file of towers, for a message.
std::string text_models_beside(const std::string& path) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  std::string names;
  for (const ModelCandidate& candidate : model_candidates(folder.empty() ? "." : folder.string()))
    names += (names.empty() ? "" : ", ") + (folder / candidate.name).string();
  return names.empty() ? "" : "; beside it: " + names;
}

}  // namespace

std::unique_ptr<Tokenizer> load_gguf_tokenizer(const FileSet& files) {
  const std::string_view bytes = files.text(kGgufKeysFile);
  return std::make_unique<Tokenizer>(
      read_gguf_vocabulary(parse_gguf(std::as_bytes(std::span(bytes)), files.path(kGgufKeysFile)).metadata));
}

std::shared_ptr<const GgufFile> read_gguf(const std::string& path) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored) || file_kind_of(path) != FileKind::kGguf) return nullptr;
  return std::make_shared<const GgufFile>(path);
}

bool is_mmproj(const GgufFile* file) {
  return file && file->metadata().is_text(kArchitecture) && file->metadata().text(kArchitecture) == kTowerArchitecture;
}

Checkpoint open_gguf_checkpoint(std::shared_ptr<const GgufFile> file) {
  const std::string& path = file->path();
  const GgufMetadata& keys = file->metadata();
  const std::string architecture = keys.text(kArchitecture);
  if (architecture == kTowerArchitecture)
    throw Error(
        ErrorCode::kUnsupported,
        path +
            ": a GGUF file of the vision and audio towers alone (mmproj), expected that of the text model: give "
            "that as the model and this file as its mmproj" +
            text_models_beside(path));
  if (architecture != "gemma3n") refuse_architecture(*file, architecture, "\"gemma3n\" (or \"clip\": its towers)");
  GgufConfigs configs = read_gguf_configs(*file);
  Checkpoint checkpoint{.path = path, .config = configs.config, .generation = configs.generation};
  if (keys.has(kGgufTokens)) checkpoint.tokenizer = std::make_unique<Tokenizer>(read_gguf_vocabulary(keys));
  const std::string chat_template = "tokenizer.chat_template";
  if (keys.is_text(chat_template)) checkpoint.chat_template = keys.text(chat_template);
  checkpoint.source = gguf_tensor_source(file, configs.text_vocab);
  // The small files that a folder of this model would have.
  FileSet::Makers files = {{"config.json", [text = configs.config_json] { return text; }},
                           {"generation_config.json", [text = configs.generation_json] { return text; }}};
  // Stands for the tokenizer's; megabytes that only convert asks for.
  if (keys.has(kGgufTokens)) files[kGgufKeysFile] = [file] { return file->metadata().as_file(); };
  if (checkpoint.chat_template) files["chat_template.jinja"] = [text = *checkpoint.chat_template] { return text; };
  if (configs.has_towers) {
    checkpoint.processor = configs.processor;
    files["processor_config.json"] = [processor = configs.processor] { return processor.as_file(); };
  }
  checkpoint.files = FileSet::made(keys.where(), std::move(files));
  return checkpoint;
}

Checkpoint open_gguf_towers(std::shared_ptr<const GgufFile> file) {
  const std::string& path = file->path();
  const std::string architecture = file->metadata().text(kArchitecture);
  if (architecture != kTowerArchitecture && architecture != "gemma3n")
    refuse_architecture(*file, architecture, "\"clip\" (the towers of Gemma 3n)");
  GgufTowers towers = read_gguf_towers(*file);
  if (!towers.has_vision() && !towers.has_audio())
    throw Error(ErrorCode::kUnsupported,
                path + ": expected the vision or audio tower of Gemma 3n (tensors v.* or a.*), found " +
                    (architecture == "gemma3n" ? "a text model" : "neither"));
  JsonObject top;
  if (towers.hidden_size > 0) top.push_back({"text_config", {JsonObject{{"hidden_size", {towers.hidden_size}}}}});
  if (towers.has_vision()) top.push_back({"vision_config", {std::move(towers.vision)}});
  if (towers.has_audio()) top.push_back({"audio_config", {std::move(towers.audio)}});
  const std::string config = to_json({std::move(top)});
  Checkpoint checkpoint{.path = path, .config = Config::parse(config, path)};
  checkpoint.has_text = architecture != kTowerArchitecture;
  checkpoint.processor = towers.processor;
  checkpoint.source = gguf_tensor_source(file, 0);
  checkpoint.files = FileSet::made(path, {{"config.json", [config] { return config; }}});
  return checkpoint;
}

}  // namespace g3n
