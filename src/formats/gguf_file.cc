// Mapping a GGUF file and the other shards of a split one.
#include <cstdio>
#include <filesystem>

#include "core/printable.h"
#include "formats/gguf.h"
#include "g3n/error.h"

namespace g3n {
namespace {

constexpr const char* kNumber = "split.no";
constexpr const char* kCount = "split.count";
constexpr const char* kTensors = "split.tensors.count";

std::string shard_suffix(int64_t number, int64_t count) {
  char text[64];
  std::snprintf(text, sizeof text, "-%05lld-of-%05lld.gguf", static_cast<long long>(number) + 1,
                static_cast<long long>(count));
  return text;
}

// "folder/model" of "folder/model-00002-of-00004.gguf".
std::string shard_prefix(const std::string& path, int64_t number, int64_t count) {
  const std::string suffix = shard_suffix(number, count);
  if (!path.ends_with(suffix))
    throw Error(ErrorCode::kBadFile, path + ": shard " + std::to_string(number + 1) + " of " + std::to_string(count) +
                                         " by its keys: expected a name ending in " + suffix +
                                         ", by which the other shards are found");
  return path.substr(0, path.size() - suffix.size());
}

}  // namespace

GgufFile::GgufFile(const std::string& path) : path_(path) {
  auto file = std::make_unique<MappedFile>(path);
  GgufContents contents = parse_gguf(file->bytes(), path);
  const int64_t count = contents.metadata.integer(kCount, 1, 0, 65535);
  if (count <= 1) {
    metadata_ = std::move(contents.metadata);
    tensors_ = std::move(contents.tensors);
    files_.push_back(std::move(file));
  } else {
    const std::string prefix = shard_prefix(path, contents.metadata.integer(kNumber, {}, 0, count - 1), count);
    file.reset();
    for (int64_t i = 0; i < count; ++i) add(prefix + shard_suffix(i, count), i, count);
    const int64_t total = metadata_.integer(kTensors, {}, 0);
    if (total != static_cast<int64_t>(tensors_.size()))
      metadata_.fail(kTensors,
                     std::to_string(tensors_.size()) + ", the tensors in all " + std::to_string(count) + " shards");
  }
  for (size_t i = 0; i < tensors_.size(); ++i)
    if (const auto [at, is_new] = index_.emplace(tensors_[i].name, i); !is_new)
      throw Error(ErrorCode::kBadFile, tensors_[i].file + ": " + tensors_[i].name + ": the tensor stands in " +
                                           tensors_[at->second].file + ", too");
}

void GgufFile::add(const std::string& path, int64_t number, int64_t count) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored))
    throw Error(ErrorCode::kNotFound,
                path + ": shard " + std::to_string(number + 1) + " of " + std::to_string(count) + " is missing");
  auto file = std::make_unique<MappedFile>(path);
  GgufContents contents = parse_gguf(file->bytes(), path);
  if (contents.metadata.integer(kCount) != count)
    contents.metadata.fail(kCount, std::to_string(count) + " as in the other shards");
  if (contents.metadata.integer(kNumber) != number)
    contents.metadata.fail(kNumber, std::to_string(number) + " as its name says");
  if (number > 0) {
    const int64_t total = metadata_.integer(kTensors, {}, 0);
    if (contents.metadata.integer(kTensors) != total)
      contents.metadata.fail(kTensors, std::to_string(total) + " as in the first shard");
  } else {
    metadata_ = std::move(contents.metadata);
  }
  for (GgufTensor& tensor : contents.tensors) tensors_.push_back(std::move(tensor));
  files_.push_back(std::move(file));
}

const GgufTensor* GgufFile::find(const std::string& name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

const MappedFile* GgufFile::file_of(const std::byte* data) const {
  for (const auto& file : files_)
    if (data >= file->bytes().data() && data < file->bytes().data() + file->bytes().size()) return file.get();
  return nullptr;
}

FileRange GgufFile::range(const std::byte* data) const {
  const MappedFile* file = file_of(data);
  return file ? file->range(data) : FileRange{};
}

void GgufFile::will_need(const std::byte* data, int64_t bytes) const {
  if (const MappedFile* file = file_of(data))
    file->will_need(static_cast<size_t>(data - file->bytes().data()), static_cast<size_t>(bytes));
}
void GgufFile::drop(const std::byte* data, int64_t bytes) const {
  if (const MappedFile* file = file_of(data))
    file->drop(static_cast<size_t>(data - file->bytes().data()), static_cast<size_t>(bytes));
}

}  // namespace g3n
