// The keys of a GGUF text file as the configs of a Hugging Face folder, for all its writers since June 2025 (spec:
// gguf.md 2 and 3): what a writer left out comes from the shapes of the tensors, or is what Gemma 3n has.
#pragma once
#include <cstdint>
#include <string>

#include "formats/gguf.h"
#include "json/config.h"
#include "checkpoint/generation_config.h"
#include "checkpoint/processor_config.h"

namespace g3n {

// The key of a text model's vocabulary.
inline constexpr const char* kGgufTokens = "tokenizer.ggml.tokens";

struct GgufConfigs {
  Config config;            // as config.json
  std::string config_json;  // its text
  GenerationConfig generation;
  std::string generation_json;  // as generation_config.json
  int64_t text_vocab = 0;       // ids below are text; rows of the per-layer table behind it mean nothing
  bool has_towers = false;      // besides the text model
  ProcessorConfig processor;    // of those
};

// Throws kBadFile for keys that contradict each other or the tensors, kUnsupported for a model that Gemma 3n's code
// does not compute.
GgufConfigs read_gguf_configs(const GgufFile& file);

}  // namespace g3n
