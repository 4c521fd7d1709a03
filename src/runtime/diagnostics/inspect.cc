#include "g3n/inspect.h"

#include "checkpoint/contents.h"
#include "checkpoint/find_model.h"
#include "model/cpu_model.h"

namespace g3n {

ModelContents inspect_model(const InspectOptions& options) {
  return read_contents(find_model(options.model, options.hub_caches, Log(options.on_warning)),
                       {.context = options.context,
                        .kv = cache_dtype(options.kv_cache, options.compute),
                        .verify = options.verify,
                        .on_progress = options.on_progress});
}

}  // namespace g3n
