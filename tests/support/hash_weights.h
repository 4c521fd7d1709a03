// A checkpoint in memory, made by the hash rule (tools/hash_weights.h): what the goldens of the tiny model were
// recorded with.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "formats/tensor_source.h"
#include "tools/hash_weights.h"

namespace g3n::testing {

struct NamedShape {
  std::string name;
  std::vector<int64_t> shape;
};

// Generates all tensors now, as bf16; ple_size is text_config.hidden_size_per_layer_input.
std::unique_ptr<TensorSource> hash_checkpoint(const std::vector<NamedShape>& tensors, int64_t ple_size);

struct TensorRecord {
  NamedShape tensor;
  uint32_t crc32;  // of the bf16 bytes
  uint64_t seed;
};
// tests/golden/data/tiny/tensors.json.
std::vector<TensorRecord> read_tensor_records(const std::string& path);

// The tiny model of the goldens: config.json of `folder` (tests/golden/data/tiny) with its tensors.json.
std::unique_ptr<TensorSource> tiny_checkpoint(const std::string& folder);

}  // namespace g3n::testing
