// A GGUF file opened as a checkpoint: configs, tokenizer and tensors out of one file (or its shards).
#pragma once
#include <memory>
#include <string>

#include "checkpoint/checkpoint.h"

namespace g3n {

// Throws as GgufFile, and kUnsupported for a model of another architecture or a file that holds the vision and audio
// towers alone.
Checkpoint open_gguf_checkpoint(const std::string& path);

// A bundle made from such a file keeps its keys under this name.
inline constexpr const char* kGgufKeysFile = "tokenizer.gguf";
std::unique_ptr<Tokenizer> load_gguf_tokenizer(const FileSet& files);

}  // namespace g3n
