// Finds a model by its id (org/name) in the local Hugging Face cache. Nothing is downloaded and no environment is read:
// the caller gives the cache folders (HF_HUB_CACHE, else HF_HOME/hub, else ~/.cache/huggingface/hub).
#pragma once
#include <string>
#include <vector>

#include "core/log.h"

namespace g3n {

// "org/name" of letters, digits, '-', '_', '.', with no such path in the file system.
bool looks_like_hub_id(const std::string& text);

enum class HubContent {
  kModel,   // a complete checkpoint, GGUF files or bundles; with a pick, a GGUF file or bundle of that name
  kTowers,  // mmproj files, with a pick one of that name; where no snapshot has any, as kModel
};

// The snapshot folder that holds what is wanted; pick: a word as in model_candidates.h. An id equal but for case is
// used, with a line through log. Error{kNotFound} says where was searched, what is incomplete, what is similar, and the
// command that fetches it.
std::string resolve_hub_model(const std::string& id, const std::vector<std::string>& caches, const Log& log,
                              const std::string& pick = "", HubContent wanted = HubContent::kModel);

}  // namespace g3n
