// The weights of a Hugging Face folder.
#pragma once
#include <memory>
#include <string>

#include "formats/tensor_source.h"

namespace g3n {

// model.safetensors, or the shards that model.safetensors.index.json names. Throws as the openers of
// formats/safetensors_source.h, and kNotFound if the folder has neither.
std::unique_ptr<TensorSource> open_safetensors_folder(const std::string& folder);

}  // namespace g3n
