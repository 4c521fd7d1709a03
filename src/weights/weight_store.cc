#include "weights/weight_store.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "core/weight.h"
#include "core/printable.h"
#include "g3n/error.h"

namespace g3n {
namespace {

constexpr int64_t kHugePage = int64_t{2} << 20;
constexpr int64_t kSlab = int64_t{64} << 20;

}  // namespace

std::byte* WeightStore::allocate(int64_t bytes) {
  const int64_t size = round_up(std::max<int64_t>(bytes, 1), static_cast<int64_t>(kAlignment));
  if (size > left_) {
    const int64_t slab = round_up(std::max(size, kSlab), kHugePage);
    slabs_.reserve(slabs_.size() + 1);
    std::byte* memory = static_cast<std::byte*>(std::aligned_alloc(kHugePage, static_cast<size_t>(slab)));
    if (!memory)
      throw Error(ErrorCode::kOutOfMemory,
                  "cannot allocate " + format_bytes(slab) +
                      " for weights (a bundle that g3n convert made is mapped and takes none of "
                      "its own; q4 takes least)");
    slabs_.emplace_back(memory);
    ::madvise(memory, static_cast<size_t>(slab), MADV_HUGEPAGE);  // a wish: without it, small pages
    next_ = memory;
    left_ = slab;
  }
  std::byte* out = next_;
  next_ += size;
  left_ -= size;
  bytes_ += bytes;
  return out;
}

}  // namespace g3n
