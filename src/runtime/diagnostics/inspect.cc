#include "g3n/inspect.h"

#include "checkpoint/contents.h"
#include "checkpoint/find_model.h"
#include "model/opened_model.h"

namespace g3n {

ModelContents inspect_model(const InspectOptions& options) {
  return read_contents(find_model({.model = options.model,
                                   .mmproj = options.mmproj,
                                   .hub_caches = options.hub_caches,
                                   .ollama_folders = options.ollama_folders},
                                  Log(options.on_warning)),
                       {.context = options.context,
                        .kv = cache_dtype(options.kv_cache, options.compute),
                        .verify = options.verify,
                        .on_progress = options.on_progress});
}

}  // namespace g3n
