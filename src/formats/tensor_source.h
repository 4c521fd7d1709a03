// TensorSource: named tensors of a checkpoint, mapped, whatever the container. Knows files, not models.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "core/mapped_file.h"

namespace g3n {

struct TensorInfo {
  std::string name;
  DType dtype = DType::kBF16;
  std::vector<int64_t> shape;
  const std::byte* data = nullptr;  // mapped, little-endian, row-major
  int64_t bytes = 0;
  std::string file;   // for messages
  FileRange range{};  // of `data`, open as long as the TensorSource; whoever points `data` elsewhere sets it anew
};

class TensorSource {
 public:
  virtual ~TensorSource() = default;
  // By exact name; null if there is none.
  virtual const TensorInfo* find(const std::string& name) const = 0;
  // All tensors in name order.
  virtual const std::map<std::string, TensorInfo>& tensors() const = 0;
  // Hints to the system about pages of a tensor.
  virtual void will_need(const TensorInfo&) const {}
  virtual void drop(const TensorInfo&) const {}
};

}  // namespace g3n
