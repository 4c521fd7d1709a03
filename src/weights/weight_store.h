// WeightStore: the memory behind a model's weight views. The model keeps it as long as its views are used; moving it
// moves no memory.
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

  // Uninitialised, 64-byte aligned; pages are not touched before they are written. Weights lie one behind the other in
  // slabs of huge pages where the system gives them: reading them all for every token misses the TLB less.
  std::byte* allocate(int64_t bytes);
  int64_t allocated_bytes() const { return bytes_; }

 private:
  struct Free {
    void operator()(std::byte* memory) const noexcept { free_aligned(memory); }
  };
  std::shared_ptr<const TensorSource> source_;
  std::vector<std::unique_ptr<std::byte, Free>> slabs_;
  std::byte* next_ = nullptr;  // free part of the last slab
  int64_t left_ = 0;
  int64_t bytes_ = 0;
};

}  // namespace g3n
