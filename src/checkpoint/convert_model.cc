// convert_model: the public face of convert.h.
#include <filesystem>

#include "checkpoint/convert.h"
#include "checkpoint/find_model.h"
#include "g3n/convert.h"
#include "g3n/error.h"

namespace g3n {
namespace {

// Before a checkpoint is opened.
void check_place(const Conversion& conversion) {
  std::error_code ignored;
  const std::filesystem::file_status place = std::filesystem::status(conversion.out, ignored);
  if (std::filesystem::exists(place) && !std::filesystem::is_regular_file(place))
    throw Error(ErrorCode::kInvalidArgument, conversion.out + ": expected a file to write, found a folder or device");
  if (std::filesystem::exists(place) && !conversion.replaces)
    throw Error(ErrorCode::kInvalidArgument, conversion.out + ": already there, and not to be replaced");
}

}  // namespace

std::int64_t convert_model(const Conversion& conversion) {
  check_place(conversion);
  const Log log(conversion.on_warning);
  const Recipe recipe = Recipe::named(conversion.recipe);
  const Checkpoint checkpoint = open_checkpoint(find_model(conversion.model, conversion.hub_caches, log));
  ThreadPool pool(conversion.threads);
  convert_to_bundle(checkpoint, conversion.out,
                    {.pool = pool, .recipe = recipe, .log = log, .progress = conversion.on_progress});
  return static_cast<std::int64_t>(std::filesystem::file_size(conversion.out));
}

}  // namespace g3n
