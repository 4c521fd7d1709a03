#include "checkpoint/safetensors_folder.h"

#include <filesystem>

#include "checkpoint/folder_entries.h"
#include "formats/safetensors_source.h"
#include "g3n/error.h"

namespace g3n {

std::unique_ptr<TensorSource> open_safetensors_folder(const std::string& folder) {
  const std::string single = (std::filesystem::path(folder) / "model.safetensors").string();
  const std::string index = single + ".index.json";
  if (is_there(single)) return open_safetensors_file(single);
  if (is_there(index)) return open_safetensors_shards(index);
  throw Error(ErrorCode::kNotFound,
              folder + ": expected model.safetensors or model.safetensors.index.json, found neither");
}

}  // namespace g3n
