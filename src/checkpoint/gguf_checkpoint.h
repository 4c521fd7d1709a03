// A GGUF file opened as a checkpoint: configs, tokenizer and tensors out of one file (or its shards); or the towers of
// one.
#pragma once
#include <memory>
#include <string>

#include "checkpoint/checkpoint.h"

namespace g3n {

// Throws as GgufFile, and kUnsupported for a model of another architecture or a file that holds the vision and audio
// towers alone.
Checkpoint open_gguf_checkpoint(const std::string& path);
// The towers of a file: of an mmproj file, or of a text file that holds them. Its config says no more than that; it has
// no tokenizer. Throws as GgufFile, and kUnsupported for a file without any tower of Gemma 3n.
Checkpoint open_gguf_towers(const std::string& path);

// Whether a file that is GGUF holds towers alone (an mmproj file). False for what is no GGUF file; throws as GgufFile.
bool is_mmproj_file(const std::string& path);

// A bundle made from such a file keeps its keys under this name.
inline constexpr const char* kGgufKeysFile = "tokenizer.gguf";
std::unique_ptr<Tokenizer> load_gguf_tokenizer(const FileSet& files);

}  // namespace g3n
