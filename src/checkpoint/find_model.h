// What a model's name stands for: a file, a folder, a file in a folder, an id of the hub cache or a name of ollama's;
// and where its towers are. The one place that knows.
#pragma once
#include <string>
#include <vector>

#include "core/log.h"

namespace g3n {

struct ModelQuery {
  std::string model;   // EngineOptions::model
  std::string mmproj;  // EngineOptions::mmproj
  std::vector<std::string> hub_caches, ollama_folders;
};

// For open_checkpoint().
struct ModelPaths {
  std::string model;
  std::string mmproj = {};  // the file or folder of its towers; empty: its own, if any
};

// query.model is
// - a file (GGUF, .g3n);
// - a folder: itself if it holds config.json and safetensors weights, else the one GGUF file or bundle in it;
// - "org/name": the same of its snapshot in one of the hub caches (hub_cache.h);
// - a folder or an id with ":PICK" behind it: the GGUF file or bundle whose name holds this word ("Q4_K_M", in any
//   case) or is it;
// - "name:tag": a model of ollama's (ollama.h).
// Shards of one split GGUF file count as one; mmproj and imatrix files are no models.
// query.mmproj is empty (towers: those that ollama keeps for the model, else the model's own), "auto" (the one mmproj
// file beside the model), or named as a model is: a file, a folder or id with a checkpoint or an mmproj file, ... Of
// mmproj files whose names differ in the type alone one is taken, BF16, F16, F32 or Q8_0 in this order, with a line
// through log.
// Throws kNotFound (nothing there, nothing that fits), or kInvalidArgument where several files fit, with their sizes.
ModelPaths find_model(const ModelQuery& query, const Log& log);

// The mmproj files that lie beside a model (in the folder, if it is one), by their names.
std::vector<std::string> mmproj_beside(const std::string& model_path);

// The files and folders that hold this model, as find_model gives it: what WriteRules::sources protects.
std::vector<std::string> model_files(const ModelPaths& paths);

}  // namespace g3n
