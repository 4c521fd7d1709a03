// Opens the model that the flags name, with its progress on a terminal's stderr.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "g3n/engine.h"
#include "options.h"

namespace g3n::cli {

// Where "org/name" is looked up: HF_HUB_CACHE, else HF_HOME/hub, else ~/.cache/huggingface/hub.
std::vector<std::string> hub_cache_folders();

// Where "name:tag" is looked up: OLLAMA_MODELS, else ~/.ollama/models and where ollama's service keeps them.
std::vector<std::string> ollama_folders();

// The flags' options with hub caches, warnings, the memory line and progress.
EngineOptions with_callbacks(EngineOptions options);
std::shared_ptr<Engine> open_engine(const Options& options);

}  // namespace g3n::cli
