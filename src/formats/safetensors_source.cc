#include "formats/safetensors_source.h"

#include <algorithm>
#include <filesystem>
#include <utility>
#include <vector>

#include "core/mapped_file.h"
#include "core/printable.h"
#include "formats/safetensors.h"
#include "formats/shard_index.h"
#include "g3n/error.h"

namespace g3n {
namespace {

// One or several mapped files.
class MappedTensors : public TensorSource {
 public:
  const TensorInfo* find(const std::string& name) const override {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? nullptr : &found->second;
  }
  const std::map<std::string, TensorInfo>& tensors() const override { return tensors_; }
  void will_need(const TensorInfo& tensor) const override {
    if (const MappedFile* file = file_of(tensor))
      file->will_need(offset(*file, tensor), static_cast<size_t>(tensor.bytes));
  }
  void drop(const TensorInfo& tensor) const override {
    if (const MappedFile* file = file_of(tensor)) file->drop(offset(*file, tensor), static_cast<size_t>(tensor.bytes));
  }

  // Maps and checks one file; its tensors are given to `take`.
  template <typename F>
  void add_file(const std::string& path, F&& take, std::map<std::string, std::string>* metadata = nullptr) {
    auto file = std::make_unique<MappedFile>(path);
    SafetensorsContents contents = parse_safetensors(file->bytes(), path);
    for (TensorInfo& tensor : contents.tensors) {
      tensor.range = file->range(tensor.data);
      take(tensor);
    }
    files_.push_back(std::move(file));
    if (metadata) *metadata = std::move(contents.metadata);
  }
  void insert(TensorInfo& tensor) {
    std::string name = tensor.name;
    tensors_.emplace(std::move(name), std::move(tensor));
  }

 private:
  static size_t offset(const MappedFile& file, const TensorInfo& tensor) {
    return static_cast<size_t>(tensor.data - file.bytes().data());
  }
  const MappedFile* file_of(const TensorInfo& tensor) const {
    for (const auto& file : files_)
      if (file->path() == tensor.file) return file.get();
    return nullptr;
  }

  std::vector<std::unique_ptr<MappedFile>> files_;
  std::map<std::string, TensorInfo> tensors_;
};

std::string joined(const std::vector<std::string>& items, size_t most, const char* separator) {
  std::string out;
  for (size_t i = 0; i < std::min(items.size(), most); ++i) out += (i ? separator : "") + items[i];
  if (items.size() > most) out += std::string(separator) + "and " + std::to_string(items.size() - most) + " more";
  return out;
}

}  // namespace

std::unique_ptr<TensorSource> open_safetensors_file(const std::string& path,
                                                    std::map<std::string, std::string>* metadata) {
  auto source = std::make_unique<MappedTensors>();
  source->add_file(
      path, [&](TensorInfo& tensor) { source->insert(tensor); }, metadata);
  return source;
}

std::unique_ptr<TensorSource> open_safetensors_shards(const std::string& index_path) {
  const std::map<std::string, std::string> weight_map = read_shard_index(index_path);
  const std::vector<std::string> shards = shards_of_index(weight_map);
  std::vector<std::string> missing, problems;
  auto source = std::make_unique<MappedTensors>();
  for (const std::string& shard : shards) {
    const std::string path = (std::filesystem::path(index_path).parent_path() / shard).string();
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) {
      missing.push_back(shard);
      continue;
    }
    try {
      // A tensor that two shards hold is taken from the one that the index names.
      source->add_file(path, [&](TensorInfo& tensor) {
        const auto listed = weight_map.find(tensor.name);
        if (listed == weight_map.end() || listed->second == shard) source->insert(tensor);
      });
    } catch (const Error& error) {
      problems.push_back(error.what());
    }
  }
  if (!missing.empty())
    problems.insert(problems.begin(), index_path + ": " + std::to_string(missing.size()) + " of " +
                                          std::to_string(shards.size()) +
                                          " shards are missing: " + joined(missing, 20, ", "));
  if (problems.empty()) {
    std::vector<std::string> lacking;
    for (const auto& [tensor, file] : weight_map)
      if (!source->find(tensor)) lacking.push_back(printable_start(tensor) + " (" + file + ")");
    if (!lacking.empty())
      problems.push_back(index_path + ": " + std::to_string(lacking.size()) +
                         " tensors are not in their shards: " + joined(lacking, 20, ", "));
  }
  if (!problems.empty())
    throw Error(missing.empty() ? ErrorCode::kBadFile : ErrorCode::kNotFound, joined(problems, 20, "; "));
  return source;
}

}  // namespace g3n
