// KvPages: K and V of one sequence, for the layers that own them (text.md 7.2, design.md 3.10), in pages of 64
// positions of one layer. PagePool: where the pages of all sequences of a model come from.
#pragma once
#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

#include "core/dtype.h"
#include "kernels/ops.h"
#include "seam/language_model.h"
#include "text/text_config.h"

namespace g3n {

inline constexpr int64_t kPagePositions = 64;

// Pages of one size, reference-counted: a whole page may belong to several sequences. All members from any thread.
class PagePool {
 public:
  PagePool(DType dtype, int64_t kv_heads, int64_t head_dim);
  ~PagePool();  // no page is in use any more
  PagePool(const PagePool&) = delete;
  PagePool& operator=(const PagePool&) = delete;

  DType dtype() const { return dtype_; }
  int64_t kv_heads() const { return kv_heads_; }
  int64_t head_dim() const { return head_dim_; }
  int64_t page_bytes() const { return page_bytes_; }

  // A page with one owner, zeroed: kernels load whole blocks of 32 keys, also what nobody wrote yet, and must not meet
  // what another sequence left there. Throws kOutOfMemory.
  std::byte* take();
  void share(std::byte* page) noexcept;  // one owner more
  void drop(std::byte* page) noexcept;   // one owner less; the last one gives the page back
  bool shared(const std::byte* page) const noexcept;
  CacheUse use() const;

 private:
  struct Header;  // lies before the page
  static Header* header_of(std::byte* page) noexcept;
  void free_pages(Header* first) noexcept;

  const DType dtype_;
  const int64_t kv_heads_, head_dim_, page_bytes_;
  mutable std::mutex mutex_;  // of all below
  Header* free_ = nullptr;
  int64_t free_count_ = 0, in_use_ = 0;
};

// Full layers keep all pages; sliding layers give a page back at the commit after which no row can see it even if the
// last 64 positions are taken back. Pages before that are null. Only whole pages are shared, so nobody writes into one.
class KvPages final : public SequenceCache {
 public:
  // owner: the model whose batches may hold this cache.
  KvPages(const TextConfig& config, const void* owner, std::shared_ptr<PagePool> pool, int64_t context);
  ~KvPages() override;
  KvPages(const KvPages&) = delete;
  KvPages& operator=(const KvPages&) = delete;

  int64_t length() const override { return length_; }
  int64_t context() const override { return context_; }
  int64_t bytes() const override;
  void commit(int64_t count) override;
  bool resumable(int64_t length) const override;
  bool stays_resumable(int64_t length, int64_t committed) const override;
  int64_t bytes_to_append(int64_t count) const override;
  void truncate(int64_t length) override;
  std::unique_ptr<SequenceCache> fork(int64_t length) const override;

  const void* owner() const { return owner_; }
  // Pages for positions [length, length + count). Throws kContextFull, kOutOfMemory; give_back() then frees what was
  // taken.
  void reserve(int64_t count);
  // The count reserved rows are written in every layer; they may be committed.
  void appended(int64_t count) { appended_ = count; }
  // Gives back the pages beyond the committed positions, and forgets what was appended.
  void give_back() noexcept;
  // What attention reads and kv_append writes; layer owns K and V. Valid until pages are taken or given back.
  KeyValues layer(int64_t layer) const;

 private:
  struct Layer {
    bool sliding = false;
    std::vector<std::byte*> pages;  // by position / 64; null: not there
  };
  struct PageRange {
    size_t begin, end;
  };
  KvPages(const KvPages& from, int64_t length);
  // Pages that hold the next `count` positions, as far as the context goes.
  PageRange pages_to_append(int64_t count) const;
  void drop_before(int64_t position) noexcept;
  bool resumable(int64_t length, int64_t kept_from) const;

  const void* owner_;
  std::shared_ptr<PagePool> pool_;
  int64_t context_, window_;
  int64_t length_ = 0, appended_ = 0;
  int64_t kept_from_ = 0;  // position from which sliding layers have their pages
  bool any_sliding_ = false;
  std::vector<Layer> layers_;
};

// KvPages::bytes() of a sequence of `length` committed positions that shares nothing.
int64_t kv_bytes(const TextConfig& config, DType dtype, int64_t length);

// The cache as one that `owner` made. Throws kInvalidArgument for any other; index names it in the error.
KvPages& own_pages(SequenceCache* cache, const void* owner, int64_t index);

}  // namespace g3n
