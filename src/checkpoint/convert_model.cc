// convert_model: the public face of convert.h.
#include <filesystem>

#include "checkpoint/convert.h"
#include "checkpoint/find_model.h"
#include "core/ascii.h"
#include "g3n/convert.h"
#include "g3n/error.h"

namespace g3n {
namespace {

// Whoever asks for such a file would take it for one.
void refuse_other_endings(const std::string& out) {
  const std::string ending = ascii_lower(std::filesystem::path(out).extension().string());
  if (ending == ".gguf" || ending == ".safetensors")
    throw Error(ErrorCode::kInvalidArgument,
                out + ": what is written is a bundle and no " + ending + " file: expected a name that ends in .g3n");
}

}  // namespace

std::int64_t convert_model(const Conversion& conversion) {
  const Log log(conversion.on_warning);
  const ModelPaths paths = find_model({.model = conversion.model,
                                       .mmproj = conversion.mmproj,
                                       .hub_caches = conversion.hub_caches,
                                       .ollama_folders = conversion.ollama_folders},
                                      log);
  check_bundle_target(conversion.out, paths, conversion.replaces);
  refuse_other_endings(conversion.out);
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
