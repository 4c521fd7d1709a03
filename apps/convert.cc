// g3n convert IN OUT: a checkpoint folder or GGUF file into one bundle, packed by a recipe.
#include <filesystem>

#include "commands.h"
#include "console.h"
#include "g3n/error.h"
#include "local_model.h"
#include "checkpoint/convert.h"

namespace g3n::cli {

int convert(const Options& options) {
  const std::string& out = options.out;
  if (std::filesystem::exists(out) && !options.force)
    throw Error(ErrorCode::kInvalidArgument, out + ": already there: --force replaces it");
  if (std::filesystem::is_directory(out))
    throw Error(ErrorCode::kInvalidArgument, out + ": expected a file to write, found a folder");
  ThreadPool pool(options.engine.threads);
  const Checkpoint checkpoint = open_checkpoint(find_model_folder(options));
  convert_to_bundle(checkpoint, out,
                    {.pool = pool,
                     .recipe = Recipe::named(options.recipe),
                     .log = Log([](const std::string& message) { warn(message); }),
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
