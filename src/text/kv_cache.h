// KvCache: K and V of one sequence, for the layers that own them (text.md 7.2, design.md 3.10).
// Sliding layers keep a ring that holds the window beside the largest chunk; full layers grow in pages.
#pragma once
#include <cstddef>
#include <vector>

#include "core/arena.h"
#include "core/dtype.h"
#include "kernels/ops.h"
#include "seam/language_model.h"
#include "text/text_config.h"

namespace g3n {

class KvCache : public SequenceCache {
 public:
  KvCache(const TextConfig& config, DType dtype, int64_t context, int64_t chunk);

  int64_t length() const override { return length_; }
  int64_t context() const override { return context_; }
  int64_t chunk() const { return chunk_; }
  int64_t bytes() const override;
  void clear() override { length_ = 0; }

  // Makes room for positions [length, length + count); throws kContextFull.
  void reserve(int64_t count);
  // The count reserved rows are written in every layer.
  void commit(int64_t count) { length_ += count; }
  // What attention reads and kv_append writes; layer owns K and V. Valid until the next reserve.
  KeyValues layer(int64_t layer) const;

 private:
  struct Layer {
    int64_t ring_positions = 0;  // 0: pages
    std::vector<Buffer<std::byte>> pages;
    std::vector<std::byte*> page_pointers;
  };

  DType dtype_;
  int64_t kv_heads_, head_dim_, context_, chunk_, length_ = 0;
  std::vector<Layer> layers_;
};

}  // namespace g3n
