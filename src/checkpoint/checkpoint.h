// Checkpoint: whatever can be opened as a model, put into one form: a Hugging Face folder, a .g3n bundle or a GGUF
// file.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "core/log.h"
#include "core/file_set.h"
#include "json/config.h"
#include "formats/tensor_source.h"
#include "checkpoint/generation_config.h"
#include "checkpoint/processor_config.h"
#include "tokenizer/tokenizer.h"
#include "weights/bundle.h"

namespace g3n {

struct Checkpoint {
  std::string path;
  Config config;  // as config.json
  GenerationConfig generation;
  ProcessorConfig processor;
  std::unique_ptr<Tokenizer> tokenizer;  // null: there is none
  std::optional<std::string> chat_template;
  std::shared_ptr<const TensorSource> source;  // of a folder or GGUF file, else null
  std::shared_ptr<const Bundle> bundle;        // of a bundle, else null
  FileSet files;                               // what convert puts into a bundle
};

// Opens a folder, or a file by its first bytes. Reads configs and tokenizer, no weights. Throws kNotFound, kUnsupported
// or kBadFile, saying what was found instead.
Checkpoint open_checkpoint(const std::string& path);

}  // namespace g3n
