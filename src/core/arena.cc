#include "core/arena.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>

#include "core/view.h"
#include "g3n/error.h"

namespace g3n {

void* aligned_bytes(size_t bytes) {
  const size_t rounded = (std::max<size_t>(bytes, 1) + kAlignment - 1) / kAlignment * kAlignment;
  void* memory = rounded < bytes ? nullptr : std::aligned_alloc(kAlignment, rounded);
  if (!memory)
    throw Error(ErrorCode::kOutOfMemory,
                "cannot allocate " + std::to_string(bytes) + " bytes (a smaller context, chunk or picture takes less)");
  return memory;
}

void free_aligned(void* memory) noexcept { std::free(memory); }

void zero_bytes(void* memory, size_t bytes) noexcept {
  if (bytes) std::memset(memory, 0, bytes);
}

Arena::~Arena() {
  for (const Block& block : blocks_) free_aligned(block.data);
}

void Arena::trim() {
  for (const Block& block : blocks_) free_aligned(block.data);
  blocks_.clear();
  block_ = used_ = 0;
}

size_t Arena::held_bytes() const {
  size_t bytes = 0;
  for (const Block& block : blocks_) bytes += block.size;
  return bytes;
}

void* Arena::take(size_t bytes) {
  constexpr size_t kBlockBytes = size_t{1} << 20;
  const size_t need = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  while (block_ < blocks_.size() && blocks_[block_].size - used_ < need) {
    // A block that is too small for this request and empty is replaced, so that steady state is one pass.
    if (used_ == 0 && block_ + 1 == blocks_.size()) {
      free_aligned(blocks_[block_].data);
      blocks_.pop_back();
      break;
    }
    ++block_, used_ = 0;
  }
  if (block_ == blocks_.size()) {
    const size_t size = std::max(need, kBlockBytes);
    blocks_.reserve(blocks_.size() + 1);
    blocks_.push_back({static_cast<std::byte*>(aligned_bytes(size)), size});
    used_ = 0;
  }
  void* memory = blocks_[block_].data + used_;
  used_ += need;
  size_t live = used_;
  for (size_t i = 0; i < block_; ++i) live += blocks_[i].size;
  peak_ = std::max(peak_, live);
  return memory;
}

void throw_shape(const char* what, const int64_t* got, const int64_t* want, int rank) {
  auto text = [rank](const int64_t* dims) {
    std::string s = "[";
    for (int i = 0; i < rank; ++i) s += (i ? ", " : "") + std::to_string(dims[i]);
    return s + "]";
  };
  throw Error(ErrorCode::kInternal, std::string(what) + ": expected shape " + text(want) + ", got " + text(got));
}

}  // namespace g3n
