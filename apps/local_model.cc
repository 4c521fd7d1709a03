// See local_model.h.
#include "local_model.h"

#include "console.h"
#include "checkpoint/find_model.h"
#include "load_engine.h"

namespace g3n::cli {

std::string find_model_folder(const Options& options) {
  return find_model(options.engine.model, hub_cache_folders(), Log([](const std::string& message) { warn(message); }));
}

}  // namespace g3n::cli
