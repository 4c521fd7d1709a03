#include "model/gguf_checkpoint.h"

#include <memory>
#include <utility>

#include "formats/gguf.h"
#include "g3n/error.h"
#include "model/gguf_config.h"
#include "model/gguf_source.h"
#include "tokenizer/gguf_vocabulary.h"

namespace g3n {

Checkpoint open_gguf_checkpoint(const std::string& path) {
  auto file = std::make_shared<const GgufFile>(path);
  const GgufMetadata& keys = file->metadata();
  if (file->architecture() == "clip")
    throw Error(ErrorCode::kUnsupported, path + ": a GGUF file of the vision and audio towers alone (mmproj), expected that of the text model");
  GgufConfigs configs = read_gguf_configs(*file);
  Checkpoint checkpoint{.path = path, .config = std::move(configs.config), .generation = std::move(configs.generation)};
  if (keys.has("tokenizer.ggml.tokens")) checkpoint.tokenizer = std::make_unique<Tokenizer>(read_gguf_vocabulary(keys));
  const std::string chat_template = "tokenizer.chat_template";
  if (keys.is_text(chat_template)) checkpoint.chat_template = keys.text(chat_template);
  checkpoint.source = gguf_tensor_source(file, configs.text_vocab);
  return checkpoint;
}

}  // namespace g3n
