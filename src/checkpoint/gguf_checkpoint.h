// A GGUF file opened as a checkpoint: configs, tokenizer and tensors out of one file (or its shards); or the towers of
// one.
#pragma once
#include <memory>
#include <string>

#include "checkpoint/checkpoint.h"
#include "formats/gguf.h"

namespace g3n {

// Headers are read here, once: whoever has the file asks and opens without reading them again. Null for what is no GGUF
// file; throws as GgufFile.
std::shared_ptr<const GgufFile> read_gguf(const std::string& path);

// Whether there is a file and it holds towers alone (an mmproj file).
bool is_mmproj(const GgufFile* file);

// Throws kUnsupported for a model of another architecture or a file that holds the vision and audio towers alone.
Checkpoint open_gguf_checkpoint(std::shared_ptr<const GgufFile> file);
// The towers of a file: of an mmproj file, or of a text file that holds them. Its config says no more than that; it has
// no tokenizer. Throws kUnsupported for a file without any tower of Gemma 3n.
Checkpoint open_gguf_towers(std::shared_ptr<const GgufFile> file);

// A bundle made from such a file keeps its keys under this name.
inline constexpr const char* kGgufKeysFile = "tokenizer.gguf";
std::unique_ptr<Tokenizer> load_gguf_tokenizer(const FileSet& files);

}  // namespace g3n
