// SafetensorsWriter: writes one .safetensors file, atomically (atomic_file.h). Two ways: all tensors declared at once
// and streamed in any order (big files), or added one by one (traces).
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "core/atomic_file.h"

namespace g3n {

struct TensorDeclaration {
  std::string name;
  DType dtype;
  std::vector<int64_t> shape;
};

using Metadata = std::map<std::string, std::string>;

class SafetensorsWriter {
 public:
  // Opens the temporary file at once. Errors as AtomicFile.
  explicit SafetensorsWriter(const std::string& path, const Metadata& metadata = {}, const WriteRules& rules = {});
  // The same with all tensors declared: fill them with write().
  SafetensorsWriter(const std::string& path, const std::vector<TensorDeclaration>& tensors,
                    const Metadata& metadata = {}, const WriteRules& rules = {});

  // Appends a tensor; its bytes go to disk now. Not for a writer of declared tensors. Error{kInvalidArgument} on a name
  // given twice or bytes that do not fit the shape, kBadFile when the disk refuses.
  void add(const std::string& name, DType dtype, const std::vector<int64_t>& shape, std::span<const std::byte> bytes);
  // Bytes of declared tensor `index` from `offset` on; threads may write different parts at the same time. What is
  // never written is zero.
  void write(size_t index, int64_t offset, std::span<const std::byte> bytes) const;
  // Another value of the same length for a key of the metadata that was given before. For a writer of declared tensors.
  void set_metadata(const std::string& key, const std::string& value);
  // Completes the file and gives it its name.
  void finish();

 private:
  struct Entry {
    TensorDeclaration tensor;
    int64_t begin, bytes;
  };
  void declare(const TensorDeclaration& tensor);
  std::string header() const;
  void append_data_behind_header();

  const std::string& path() const { return file_.path(); }

  AtomicFile file_;
  Metadata metadata_;
  std::vector<Entry> entries_;
  std::map<std::string, size_t> names_;
  int64_t data_start_ = 0;  // 0: tensors are added, the header is not known yet
  int64_t data_bytes_ = 0;
  bool declared_ = false, finished_ = false;
};

}  // namespace g3n
