// The vision and audio towers of a GGUF file: an mmproj file, or a text file that holds them as well (spec: gguf.md 6).
// Which towers are there is decided by tensors: keys claim some that are not.
#pragma once
#include <string>
#include <string_view>

#include "formats/gguf.h"
#include "json/tree.h"
#include "checkpoint/processor_config.h"

namespace g3n {

// The Hugging Face name of a tensor of a tower or its embedder; empty: it is none of Gemma 3n's.
std::string tower_tensor_name(std::string_view gguf);

// What config.json would say of the towers, from the shapes of their tensors; empty objects for one that is not there.
// Ids of the vocabulary are not in such files. Throws kUnsupported for the towers of another model, kBadFile for keys
// of a wrong type.
struct GgufTowers {
  JsonObject vision, audio;        // vision_config, audio_config
  int64_t hidden_size = 0;         // of the text model that they belong to; 0: no projection tells
  ProcessorConfig processor = {};  // how media are prepared for them
  bool has_vision() const { return !vision.empty(); }
  bool has_audio() const { return !audio.empty(); }
};
GgufTowers read_gguf_towers(const GgufFile& file);

// The value of general.architecture of files that hold towers alone.
inline constexpr const char* kTowerArchitecture = "clip";

}  // namespace g3n
