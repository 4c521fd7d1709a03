// TensorSource of mapped .safetensors files.
#pragma once
#include <map>
#include <memory>
#include <string>

#include "formats/tensor_source.h"

namespace g3n {

// One .safetensors file. metadata, if asked for: the strings of __metadata__.
std::unique_ptr<TensorSource> open_safetensors_file(const std::string& path,
                                                    std::map<std::string, std::string>* metadata = nullptr);

// The shards that an index names, which lie beside it. All problems of all shards are reported together: kNotFound if
// one is missing, else kBadFile.
std::unique_ptr<TensorSource> open_safetensors_shards(const std::string& index_path);

}  // namespace g3n
