// What a checkpoint's files hold, beside what the model binds: inspect_model without the words of the public options.
#pragma once
#include <cstdint>
#include <functional>
#include <string>

#include "checkpoint/find_model.h"
#include "core/dtype.h"
#include "g3n/inspect.h"

namespace g3n {

struct ContentsOptions {
  int64_t context = 0;  // positions of the KV cache; 0: the model's
  DType kv = DType::kF32;
  bool verify = false;
  std::function<void(int64_t, int64_t)> on_progress;  // of verify
};

// paths: as open_checkpoint; a file of towers alone is taken, too. Errors as inspect_model.
ModelContents read_contents(const ModelPaths& paths, const ContentsOptions& options);

}  // namespace g3n
