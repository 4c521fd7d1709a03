// safetensors: 8 bytes header length, a JSON header, then the data of all tensors without holes. Reading follows the
// reference implementation's rules and refuses what it refuses; TensorSource (tensor_source.h) is what the rest of the
// program sees.
#pragma once
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "formats/tensor_source.h"

namespace g3n {

inline constexpr uint64_t kMaxSafetensorsHeader = 100'000'000;

struct SafetensorsContents {
  std::vector<TensorInfo> tensors;              // in the order of their data
  std::map<std::string, std::string> metadata;  // __metadata__
};

// Checks and reads a whole file in memory; tensors point into `file`. Error{kBadFile} names path and tensor,
// kUnsupported for element types that nothing here computes with.
SafetensorsContents parse_safetensors(std::span<const std::byte> file, const std::string& path);

}  // namespace g3n
