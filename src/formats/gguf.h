// GGUF, version 2 and 3: typed metadata and tensors of a mapped file. Every length is compared with what remains of the
// file before it is used, so a hostile file gives an Error and costs no more memory than a small multiple of its size.
// Knows the container, not models.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/dtype.h"
#include "core/mapped_file.h"

namespace g3n {

struct GgufTensor {
  std::string name;
  uint32_t type = 0;           // as the file numbers it
  std::optional<DType> dtype;  // none for a number that nothing here decodes
  std::vector<int64_t> ne;     // innermost axis first, as the file has it: 1 to 4 extents
  const std::byte* data = nullptr;
  int64_t bytes = 0;  // 0 without dtype
  std::string file;   // for messages

  // Throws kUnsupported, naming tensor and number, where there is none.
  DType dtype_or_fail() const;
};

// The keys of a file. Values stay in the file and are read when asked for. Errors are kBadFile and name file, key, what
// was wanted and found.
class GgufMetadata {
 public:
  const std::string& where() const { return where_; }
  bool has(const std::string& key) const { return values_.contains(key); }
  std::vector<std::string> keys() const;  // sorted
  bool is_list(const std::string& key) const;
  bool is_text(const std::string& key) const;

  // With a fallback an absent key gives it; a value of another type is always an error. An integer may be stored as any
  // number that is whole.
  int64_t integer(const std::string& key, std::optional<int64_t> fallback = {}, int64_t min = INT64_MIN,
                  int64_t max = INT64_MAX) const;
  double number(const std::string& key, std::optional<double> fallback = {}) const;
  bool boolean(const std::string& key, std::optional<bool> fallback = {}) const;
  std::string text(const std::string& key, std::optional<std::string> fallback = {}) const;
  // Lists; a scalar is a list of one, an absent key an empty list.
  std::vector<int64_t> integers(const std::string& key) const;
  std::vector<double> numbers(const std::string& key) const;
  std::vector<bool> booleans(const std::string& key) const;
  std::vector<std::string_view> texts(const std::string& key) const;  // valid as long as the file is mapped
  // Elements of a list; 1 for a scalar, 0 without the key.
  int64_t count(const std::string& key) const;

  [[noreturn]] void fail(const std::string& key, const std::string& wanted) const;

  // A GGUF file of these keys and no tensors.
  std::string as_file() const;

 private:
  friend class GgufReader;
  struct Value {
    uint32_t type = 0;  // of the elements
    bool is_list = false;
    uint64_t count = 1;
    std::span<const std::byte> bytes;  // the elements as they stand in the file
  };
  const Value& value(const std::string& key, const char* wanted) const;
  double element(const Value& value, uint64_t index) const;
  std::string found(const std::string& key) const;

  std::string where_;
  std::span<const std::byte> bytes_;  // of the file, to the end of the keys
  std::map<std::string, Value> values_;
};

struct GgufContents {
  GgufMetadata metadata;
  std::vector<GgufTensor> tensors;  // in the order of the file
};
// Checks and reads a whole file in memory, one shard of a split file too. kBadFile, or kUnsupported for versions that
// no Gemma 3n file has.
GgufContents parse_gguf(std::span<const std::byte> file, const std::string& path);

// A GGUF file, or all shards of a split one, mapped.
class GgufFile {
 public:
  // path: the file or any of its shards, by whatever name. Errors as MappedFile and parse_gguf; kNotFound names a shard
  // that is not there.
  explicit GgufFile(const std::string& path);

  const std::string& path() const { return path_; }
  const GgufMetadata& metadata() const { return metadata_; }  // of the first shard
  const std::vector<GgufTensor>& tensors() const { return tensors_; }
  const GgufTensor* find(const std::string& name) const;

  // Of a byte of a tensor.
  FileRange range(const std::byte* data) const;
  // Hints about pages; see MappedFile.
  void will_need(const std::byte* data, int64_t bytes) const;
  void drop(const std::byte* data, int64_t bytes) const;

 private:
  const MappedFile* file_of(const std::byte* data) const;
  void add(const std::string& path, int64_t number, int64_t count);

  std::string path_;
  GgufMetadata metadata_;
  std::vector<std::unique_ptr<MappedFile>> files_;
  std::vector<GgufTensor> tensors_;
  std::map<std::string, size_t> index_;
};

}  // namespace g3n
