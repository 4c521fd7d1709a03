// g3n convert IN OUT: a checkpoint folder or GGUF file into one bundle, packed by a recipe.
#include <filesystem>

#include "commands.h"
#include "console.h"
#include "core/printable.h"
#include "g3n/convert.h"
#include "g3n/error.h"
#include "load_engine.h"

namespace g3n::cli {

int convert(const Options& options) {
  const std::string& out = options.out;
  std::error_code ignored;
  if (!options.force && std::filesystem::is_regular_file(out, ignored))
    throw Error(ErrorCode::kInvalidArgument, out + ": already there: --force replaces it");
  const std::int64_t bytes =
      convert_model({.model = options.engine.model,
                     .mmproj = options.engine.mmproj,
                     .hub_caches = hub_cache_folders(),
                     .ollama_folders = ollama_folders(),
                     .out = out,
                     .recipe = options.recipe,
                     .replaces = options.force,
                     .threads = options.engine.threads,
                     .on_warning = [](const std::string& message) { warn(message); },
                     .on_progress = on_percent([](std::int64_t percent) {
                       const size_t filled = static_cast<size_t>(percent) * 3 / 10;
                       show_status("converting [" + std::string(filled, '#') + std::string(30 - filled, '.') + "] " +
                                   std::to_string(percent) + " %");
                     })});
  clear_status();
  write_stdout(out + ": " + format_bytes(bytes) + ", recipe " + options.recipe + "\n");
  return kExitDone;
}

}  // namespace g3n::cli
