#include "checkpoint/safetensors_folder.h"

#include <filesystem>

#include "formats/safetensors_source.h"
#include "g3n/error.h"

namespace g3n {

std::unique_ptr<TensorSource> open_safetensors_folder(const std::string& folder) {
  const std::string single = (std::filesystem::path(folder) / "model.safetensors").string();
  const std::string index = single + ".index.json";
  std::error_code ignored;
  if (std::filesystem::exists(single, ignored)) return open_safetensors_file(single);
  if (std::filesystem::exists(index, ignored)) return open_safetensors_shards(index);
  throw Error(ErrorCode::kNotFound,
              folder + ": expected model.safetensors or model.safetensors.index.json, found neither");
}

}  // namespace g3n
