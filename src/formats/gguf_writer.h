// GgufWriter: one GGUF file, version 3, alignment 32, written atomically (atomic_file.h): keys, then declared tensors,
// then their bytes in any order by any number of threads. What llama.cpp demands of a file holds: tensors in offset
// order without gaps, each padded.
#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/dtype.h"
#include "core/atomic_file.h"

namespace g3n {

class GgufWriter {
 public:
  // Opens the temporary file at once. Errors as AtomicFile.
  explicit GgufWriter(const std::string& path);

  // Keys, in the order in which they come. Error{kInvalidArgument} on a key given twice. The value's type is the
  // file's.
  void set(const std::string& key, uint32_t value);
  void set(const std::string& key, float value);
  void set(const std::string& key, std::string_view value);
  void set(const std::string& key, std::same_as<bool> auto value) {
    set_bool(key, value);
  }  // nothing else becomes a bool
  void set(const std::string& key, const std::vector<uint32_t>& values);
  void set(const std::string& key, const std::vector<int32_t>& values);
  void set(const std::string& key, const std::vector<float>& values);
  void set(const std::string& key, const std::vector<bool>& values);
  void set(const std::string& key, const std::vector<std::string>& values);

  // shape: outermost axis first, as everywhere here; the file has it reversed. The last axis holds whole blocks.
  // Returns the tensor's index. Error{kInvalidArgument} on a name given twice, a name of 64 bytes or more, a type or
  // shape that cannot be written.
  size_t declare(const std::string& name, DType dtype, const std::vector<int64_t>& shape);

  // After all keys and tensors: writes what stands before the data.
  void begin_data();
  // Bytes of a declared tensor from `offset` on; what is never written is zero.
  void write(size_t index, int64_t offset, std::span<const std::byte> bytes) const;
  // Completes the file and gives it its name.
  void finish();

  int64_t tensor_bytes(size_t index) const { return tensors_.at(index).bytes; }
  int64_t data_bytes() const { return data_bytes_; }

 private:
  struct Entry {
    std::string name;
    DType dtype;
    std::vector<int64_t> shape;
    int64_t begin, bytes;
  };
  void begin_key(const std::string& key, uint32_t value_type);
  void begin_array(const std::string& key, uint32_t element_type, size_t count);
  void set_bool(const std::string& key, bool value);

  AtomicFile file_;
  std::map<std::string, size_t> key_names_, tensor_names_;
  std::string keys_;  // as they stand in the file
  std::vector<Entry> tensors_;
  int64_t data_start_ = -1, data_bytes_ = 0;
};

}  // namespace g3n
