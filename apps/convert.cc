// g3n convert IN OUT: a checkpoint folder or GGUF file into one bundle, packed by a recipe.
#include <filesystem>

#include "commands.h"
#include "console.h"
#include "g3n/error.h"
#include "local_model.h"
#include "checkpoint/convert.h"

namespace g3n::cli {

int convert(const Options& options) {
  const std::string &out = options.out, model = find_model_folder(options);
  std::error_code ignored;
  if (!options.force && std::filesystem::is_regular_file(out, ignored))
    throw Error(ErrorCode::kInvalidArgument, out + ": already there: --force replaces it");
  check_bundle_target(out, model, options.force);
  ThreadPool pool(options.engine.threads);
  if (pool.threads() < pool.wanted_threads())
    warn("the system starts only " + std::to_string(pool.threads()) + " of " + std::to_string(pool.wanted_threads()) +
         " threads");
  const Checkpoint checkpoint = open_checkpoint(model);
  convert_to_bundle(checkpoint, out,
                    {.pool = pool,
                     .recipe = Recipe::named(options.recipe),
                     .log = Log([](const std::string& message) { warn(message); }),
                     .replace = options.force,
                     .progress = [shown = std::int64_t{-1}](std::int64_t done, std::int64_t total) mutable {
                       const std::int64_t percent = total > 0 ? 100 * done / total : 100;
                       if (percent == shown) return;
                       shown = percent;
                       const size_t filled = static_cast<size_t>(percent) * 3 / 10;
                       show_status("converting [" + std::string(filled, '#') + std::string(30 - filled, '.') + "] " +
                                   std::to_string(percent) + " %");
                     }});
  clear_status();
  write_stdout(out + ": " + format_bytes(static_cast<std::int64_t>(std::filesystem::file_size(out))) + ", recipe " +
               options.recipe + "\n");
  return kExitDone;
}

}  // namespace g3n::cli
