// Names of tensors across exports. Canonical names are those of Google's Hugging Face files: model.language_model.X,
// model.vision_tower.X, model.audio_tower.X, model.embed_vision.X, model.embed_audio.X. Text-only and mlx-style exports
// use others for the same tensors.
#pragma once
#include <map>
#include <string>

#include "formats/tensor_source.h"

namespace g3n {

// The canonical form of a file's tensor name; a name of no known pattern is returned as it is.
std::string canonical_name(const std::string& name);

// Canonical names of all tensors. Where two tensors claim one name, the one that bears it exactly wins, else the first
// in name order; the loser keeps its own name.
std::map<std::string, const TensorInfo*> canonical_tensors(const TensorSource& source);

}  // namespace g3n
