// What a checkpoint's files hold, beside what the model binds: inspect_model without the words of the public options.
#pragma once
#include <cstdint>
#include <functional>
#include <string>

#include "core/dtype.h"
#include "g3n/inspect.h"

namespace g3n {

struct ContentsOptions {
  int64_t context = 0;  // positions of the KV cache; 0: the model's
  DType kv = DType::kF32;
  bool verify = false;
  std::function<void(int64_t, int64_t)> on_progress;  // of verify
};

// path: as open_checkpoint. Errors as inspect_model.
ModelContents read_contents(const std::string& path, const ContentsOptions& options);

}  // namespace g3n
