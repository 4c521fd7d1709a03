// What a model's name stands for: a file, a folder, a file in a folder, or an id of the hub cache. The one place that
// knows.
#pragma once
#include <string>
#include <vector>

#include "core/log.h"

namespace g3n {

// The path for open_checkpoint(): `name` is
// - a file (GGUF, .g3n);
// - a folder: itself if it holds config.json and safetensors weights, else the one GGUF file or bundle in it;
// - "org/name": the same of its snapshot in one of the hub caches (hub_cache.h);
// - a folder or an id with ":PICK" behind it: the GGUF file or bundle whose name holds this word ("Q4_K_M", in any
// case)
//   or is it.
// Shards of one split GGUF file count as one; mmproj and imatrix files are no models. Throws kNotFound (nothing there,
// nothing that fits), or kInvalidArgument where several files fit, with their sizes.
std::string find_model(const std::string& name, const std::vector<std::string>& hub_caches, const Log& log);

// The files and folders that hold this model, as find_model gives it: what WriteRules::sources protects.
std::vector<std::string> model_files(const std::string& path);

}  // namespace g3n
