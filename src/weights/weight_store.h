// WeightStore: the memory behind a model's weight views. The model keeps it as long as its views are used; moving it moves no memory.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/arena.h"
#include "formats/tensor_source.h"

namespace g3n {

class WeightStore {
 public:
  WeightStore() = default;
  // Tables are read from the source's mapped files.
  explicit WeightStore(std::shared_ptr<const TensorSource> source) : source_(std::move(source)) {}
  WeightStore(WeightStore&&) = default;
  WeightStore& operator=(WeightStore&&) = default;

  // Uninitialised, 64-byte aligned; pages are not touched before they are written.
  std::byte* allocate(int64_t bytes) {
    blocks_.reserve(blocks_.size() + 1);
    blocks_.emplace_back(static_cast<std::byte*>(aligned_bytes(static_cast<size_t>(bytes))));
    bytes_ += bytes;
    return blocks_.back().get();
  }
  int64_t allocated_bytes() const { return bytes_; }

 private:
  struct Free {
    void operator()(std::byte* memory) const noexcept { free_aligned(memory); }
  };
  std::shared_ptr<const TensorSource> source_;
  std::vector<std::unique_ptr<std::byte, Free>> blocks_;
  int64_t bytes_ = 0;
};

}  // namespace g3n
