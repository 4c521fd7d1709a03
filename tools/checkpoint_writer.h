// Checkpoints of any size from a config.json alone: names and shapes by walking the models' bind visitors without
// storage, values by the hash rule (hash_weights.h), written as a Hugging Face folder. For goldens at real shapes and
// for benchmarks.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/thread_pool.h"
#include "json/config.h"

namespace g3n {

// Every tensor that a published checkpoint of this config holds, dead K and V included: canonical name and shape.
std::map<std::string, std::vector<int64_t>> checkpoint_tensors(const Config& config);

struct CheckpointOptions {
  int64_t shards = 0;  // 0: as many as keep each below 5 GB
  std::function<void(int64_t done_bytes, int64_t total_bytes)> progress{};
};

// Writes config.json (copied), the shards and their index into `folder`, which must be new or empty.
// Error{kInvalidArgument} if it is not, or if the disk has too little space.
void write_random_checkpoint(ThreadPool& pool, const std::string& config_path, const std::string& folder,
                             const CheckpointOptions& options);

}  // namespace g3n
