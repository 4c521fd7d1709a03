// Conversion of a checkpoint into a bundle: every weight packed by a recipe and written as the kernels read it, with
// configs and tokenizer beside.
#pragma once
#include <functional>
#include <string>

#include "core/thread_pool.h"
#include "checkpoint/checkpoint.h"
#include "weights/recipe.h"

namespace g3n {

struct ConvertOptions {
  ThreadPool& pool;
  Recipe recipe{};
  Log log{};
  bool replace = true;  // false: a file that is there already is an error
  std::function<void(int64_t done_bytes, int64_t total_bytes)> progress{};  // bytes of the checkpoint
};

// Writes `out`, complete or not at all; its old content, if any, stays until then. Streams: no more than a tensor's
// part is in memory. Throws kBadFile for tensors that do not fit the config, hold values that are not finite or are cut
// meanwhile, kInvalidArgument when the disk has no room or the place is taken: by a file of the checkpoint itself, or
// by what is no regular file.
void convert_to_bundle(const Checkpoint& checkpoint, const std::string& out, const ConvertOptions& options);

// The last of these, asked before a checkpoint is opened.
void check_bundle_target(const std::string& out, const ModelPaths& checkpoint, bool replace);

}  // namespace g3n
