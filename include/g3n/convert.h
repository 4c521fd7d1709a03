// Conversion of a checkpoint into one .g3n file: weights as the kernels read them, configs and tokenizer beside, loaded
// in milliseconds.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace g3n {

struct Conversion {
  std::string model;                    // as EngineOptions::model
  std::string mmproj;                   // as EngineOptions::mmproj: the bundle holds text and towers
  std::vector<std::string> hub_caches;  // as EngineOptions::hub_caches
  std::vector<std::string> ollama_folders;
  std::string out;            // the file to write
  std::string recipe = "q4";  // "q4", "q8", "keep" (as in the file) or a recipe file (docs/quantization.md)
  bool replaces = false;      // an existing file, never one of the model; false: an error
  int threads = 0;            // 0: one per usable core
  std::function<void(const std::string&)> on_warning;
  std::function<void(std::int64_t done_bytes, std::int64_t total_bytes)> on_progress;  // of the checkpoint
};

// Writes it, complete or not at all, and returns its bytes. Throws kNotFound, kBadFile, kUnsupported as Engine::open (a
// bundle is packed already), kInvalidArgument for a place that is taken, a disk without room, and a name that ends in
// .gguf or .safetensors.
std::int64_t convert_model(const Conversion& conversion);

}  // namespace g3n
