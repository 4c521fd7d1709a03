// convert_model: the public face of convert.h.
#include <filesystem>

#include "checkpoint/convert.h"
#include "checkpoint/find_model.h"
#include "g3n/convert.h"

namespace g3n {
std::int64_t convert_model(const Conversion& conversion) {
  const Log log(conversion.on_warning);
  const ModelPaths paths = find_model({.model = conversion.model,
                                       .mmproj = conversion.mmproj,
                                       .hub_caches = conversion.hub_caches,
                                       .ollama_folders = conversion.ollama_folders},
                                      log);
  check_bundle_target(conversion.out, paths, conversion.replaces);
  const Recipe recipe = Recipe::named(conversion.recipe);
  const Checkpoint checkpoint = open_checkpoint(paths);
  ThreadPool pool(conversion.threads);
  warn_of_missing_threads(pool, log);
  convert_to_bundle(
      checkpoint, conversion.out,
      {.pool = pool, .recipe = recipe, .log = log, .replace = conversion.replaces, .progress = conversion.on_progress});
  return static_cast<std::int64_t>(std::filesystem::file_size(conversion.out));
}

}  // namespace g3n
