// See local_model.h.
#include "local_model.h"

#include "console.h"
#include "checkpoint/hub_cache.h"
#include "load_engine.h"

namespace g3n::cli {

std::string find_model_folder(const Options& options) {
  if (!looks_like_hub_id(options.engine.model)) return options.engine.model;
  return resolve_hub_model(options.engine.model, hub_cache_folders(),
                           Log([](const std::string& message) { warn(message); }));
}

}  // namespace g3n::cli
