// Checkpoint: whatever can be opened as a model, put into one form: a Hugging Face folder, a .g3n bundle or a GGUF
// file, with its own towers or those of another such file.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "core/log.h"
#include "core/file_set.h"
#include "json/config.h"
#include "formats/tensor_source.h"
#include "checkpoint/find_model.h"
#include "checkpoint/generation_config.h"
#include "checkpoint/processor_config.h"
#include "tokenizer/tokenizer.h"
#include "weights/bundle.h"

namespace g3n {

// Where tensors lie: those of a folder or GGUF file, or of a bundle.
struct WeightFiles {
  std::string path;
  std::shared_ptr<const TensorSource> source;  // of a folder or GGUF file, else null
  std::shared_ptr<const Bundle> bundle;        // of a bundle, else null
};

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
  bool has_text = true;                        // false: opened from a file of towers alone
  // Towers out of another file; none: they are in this one, or nowhere.
  std::optional<WeightFiles> vision, audio;
};

// Opens a folder, or a file by its first bytes. Reads configs and tokenizer, no weights. Throws kNotFound, kUnsupported
// or kBadFile, saying what was found instead.
Checkpoint open_checkpoint(const std::string& path);
// With the towers of paths.mmproj, if it is given: they take the place of the model's own. A GGUF file of towers and
// one of text may stand in either place. Throws as both are opened, and kBadFile for towers of another model.
Checkpoint open_checkpoint(const ModelPaths& paths);
// The same, but a file of towers alone is no error.
Checkpoint open_checkpoint_or_towers(const ModelPaths& paths);

}  // namespace g3n
