// model.safetensors.index.json: which file of the same folder holds which tensor.
#pragma once
#include <map>
#include <string>
#include <vector>

namespace g3n {

// weight_map: file by tensor. Error{kBadFile} if it is not such an index, names another folder's file or no tensor.
std::map<std::string, std::string> read_shard_index(const std::string& path);

// Its files, sorted, each once.
std::vector<std::string> shards_of_index(const std::string& path);
std::vector<std::string> shards_of_index(const std::map<std::string, std::string>& weight_map);

}  // namespace g3n
