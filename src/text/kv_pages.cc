#include "text/kv_pages.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <string>
#include <typeinfo>

#include "core/arena.h"
#include "g3n/error.h"

namespace g3n {
namespace {

constexpr int64_t kFreeBytes = 16 << 20;  // kept for the next pages while any is in use
constexpr int64_t kTruncatable = 64;      // positions that may always be taken back

int64_t pages_of(int64_t positions) { return (positions + kPagePositions - 1) / kPagePositions; }

// The position from which a sliding layer keeps its pages, when `length` positions are committed.
int64_t first_kept(int64_t length, int64_t window) {
  return std::max<int64_t>(0, length - kTruncatable - (window - 1)) / kPagePositions * kPagePositions;
}

}  // namespace

// ---- PagePool

struct alignas(kAlignment) PagePool::Header {
  std::atomic<int64_t> owners;
  Header* next;  // while it is free
  std::byte* page() { return reinterpret_cast<std::byte*>(this + 1); }
};

PagePool::PagePool(DType dtype, int64_t kv_heads, int64_t head_dim)
    : dtype_(dtype),
      kv_heads_(kv_heads),
      head_dim_(head_dim),
      page_bytes_(kv_page_bytes(dtype, kv_heads, head_dim, kPagePositions)) {}

PagePool::~PagePool() { free_pages(free_); }

PagePool::Header* PagePool::header_of(std::byte* page) noexcept { return reinterpret_cast<Header*>(page) - 1; }

void PagePool::free_pages(Header* first) noexcept {
  while (first) {
    Header* next = first->next;
    first->~Header();
    free_aligned(first);
    first = next;
  }
}

std::byte* PagePool::take() {
  Header* header = nullptr;
  {
    std::lock_guard lock(mutex_);
    if (free_) {
      header = free_, free_ = header->next;
      --free_count_, ++in_use_;
    }
  }
  if (!header) {
    header = new (aligned_bytes(sizeof(Header) + static_cast<size_t>(page_bytes_))) Header{};
    std::lock_guard lock(mutex_);
    ++in_use_;
  }
  header->owners.store(1, std::memory_order_relaxed);
  zero_bytes(header->page(), static_cast<size_t>(page_bytes_));
  return header->page();
}

void PagePool::share(std::byte* page) noexcept { header_of(page)->owners.fetch_add(1, std::memory_order_relaxed); }

void PagePool::drop(std::byte* page) noexcept {
  Header* header = header_of(page);
  if (header->owners.fetch_sub(1, std::memory_order_acq_rel) > 1) return;
  Header* surplus = nullptr;
  {
    std::lock_guard lock(mutex_);
    --in_use_;
    header->next = nullptr;
    if ((free_count_ + 1) * page_bytes_ > kFreeBytes)
      surplus = header;
    else
      header->next = free_, free_ = header, ++free_count_;
    if (in_use_ == 0) {  // idle: nothing is kept
      (surplus ? surplus->next : surplus) = free_;
      free_ = nullptr, free_count_ = 0;
    }
  }
  free_pages(surplus);
}

bool PagePool::shared(const std::byte* page) const noexcept {
  return header_of(const_cast<std::byte*>(page))->owners.load(std::memory_order_acquire) > 1;
}

CacheUse PagePool::use() const {
  std::lock_guard lock(mutex_);
  return {.bytes = in_use_ * page_bytes_, .pages = in_use_, .free_bytes = free_count_ * page_bytes_};
}

// ---- KvPages

KvPages::KvPages(const TextConfig& config, const void* owner, std::shared_ptr<PagePool> pool, int64_t context)
    : owner_(owner), pool_(std::move(pool)), context_(context), window_(config.sliding_window) {
  if (context < 1)
    throw Error(ErrorCode::kInvalidArgument, "context: expected at least one position, got " + std::to_string(context));
  if (pool_->kv_heads() != config.num_key_value_heads || pool_->head_dim() != config.head_dim)
    throw Error(ErrorCode::kInternal, "the pool's pages are not of this model's K and V");
  layers_.resize(static_cast<size_t>(config.first_shared_layer()));
  for (size_t i = 0; i < layers_.size(); ++i) {
    layers_[i].sliding = config.layer_types[i] == LayerType::kSliding;
    any_sliding_ |= layers_[i].sliding;
  }
}

// Of `length` positions, whose pages fork() puts in.
KvPages::KvPages(const KvPages& from, int64_t length)
    : owner_(from.owner_),
      pool_(from.pool_),
      context_(from.context_),
      window_(from.window_),
      length_(length),
      kept_from_(std::max(std::min(from.kept_from_, length), first_kept(length, window_))),
      any_sliding_(from.any_sliding_),
      layers_(from.layers_.size()) {}

KvPages::~KvPages() {
  for (Layer& layer : layers_)
    for (std::byte* page : layer.pages)
      if (page) pool_->drop(page);
}

int64_t KvPages::bytes() const {
  int64_t pages = 0;
  for (const Layer& layer : layers_)
    pages += std::count_if(layer.pages.begin(), layer.pages.end(), [](const std::byte* page) { return page; });
  return pages * pool_->page_bytes();
}

int64_t kv_bytes(const TextConfig& config, DType dtype, int64_t length) {
  int64_t pages = 0;
  for (int64_t layer = 0; layer < config.first_shared_layer(); ++layer) {
    const bool sliding = config.layer_types[static_cast<size_t>(layer)] == LayerType::kSliding;
    pages += pages_of(length) - (sliding ? first_kept(length, config.sliding_window) / kPagePositions : 0);
  }
  return pages * kv_page_bytes(dtype, config.num_key_value_heads, config.head_dim, kPagePositions);
}

KvPages::PageRange KvPages::pages_to_append(int64_t count) const {
  return {static_cast<size_t>(length_ / kPagePositions),
          static_cast<size_t>(pages_of(std::min(length_ + count, context_)))};
}

void KvPages::reserve(int64_t count) {
  appended_ = 0;
  if (count > context_ - length_)
    throw Error(ErrorCode::kContextFull, "the context is full: " + std::to_string(length_ + count) +
                                             " positions needed, the context has " + std::to_string(context_));
  const PageRange range = pages_to_append(count);
  for (Layer& layer : layers_) {
    if (layer.pages.size() < range.end) layer.pages.resize(range.end, nullptr);
    for (size_t i = range.begin; i < range.end; ++i)
      if (!layer.pages[i]) layer.pages[i] = pool_->take();
  }
}

void KvPages::give_back() noexcept {
  appended_ = 0;
  const size_t end = static_cast<size_t>(pages_of(length_));
  for (Layer& layer : layers_)
    for (; layer.pages.size() > end; layer.pages.pop_back())
      if (layer.pages.back()) pool_->drop(layer.pages.back());
}

void KvPages::commit(int64_t count) {
  if (count < 0 || count > appended_)
    throw Error(ErrorCode::kInternal, "commit: " + std::to_string(count) + " positions of " +
                                          std::to_string(appended_) + " that the last forward appended");
  length_ += count;
  give_back();
  drop_before(first_kept(length_, window_));
}

// Of sliding layers; position: of a page's begin.
void KvPages::drop_before(int64_t position) noexcept {
  if (position <= kept_from_) return;
  for (Layer& layer : layers_)
    for (int64_t i = kept_from_ / kPagePositions; layer.sliding && i < position / kPagePositions; ++i)
      if (std::byte*& page = layer.pages[static_cast<size_t>(i)]) pool_->drop(page), page = nullptr;
  kept_from_ = position;
}

bool KvPages::resumable(int64_t length, int64_t kept_from) const {
  const int64_t seen = std::min(length, window_ - 1);  // by the next row, of what is before it
  return !any_sliding_ || seen == 0 || length - seen >= kept_from;
}

bool KvPages::resumable(int64_t length) const {
  return length >= 0 && length <= length_ && resumable(length, kept_from_);
}

bool KvPages::stays_resumable(int64_t length, int64_t committed) const {
  return length >= 0 && length <= committed && resumable(length, std::max(kept_from_, first_kept(committed, window_)));
}

int64_t KvPages::bytes_to_append(int64_t count) const {
  int64_t pages = 0;
  const PageRange range = pages_to_append(count);
  for (const Layer& layer : layers_)
    for (size_t i = range.begin; i < range.end; ++i) pages += i >= layer.pages.size() || !layer.pages[i];
  return pages * pool_->page_bytes();
}

void KvPages::truncate(int64_t length) {
  if (!resumable(length))
    throw Error(ErrorCode::kInternal, "truncate: a sequence of " + std::to_string(length_) +
                                          " positions cannot go on from " + std::to_string(length));
  const size_t last = static_cast<size_t>(length / kPagePositions);
  if (length % kPagePositions)
    for (Layer& layer : layers_) {  // the next rows are written there
      if (last >= layer.pages.size() || !layer.pages[last] || !pool_->shared(layer.pages[last])) continue;
      std::byte* copy = pool_->take();
      std::memcpy(copy, layer.pages[last], static_cast<size_t>(pool_->page_bytes()));
      pool_->drop(layer.pages[last]);
      layer.pages[last] = copy;
    }
  length_ = length;
  kept_from_ = std::min(kept_from_, length);
  give_back();
}

std::unique_ptr<SequenceCache> KvPages::fork(int64_t length) const {
  if (!resumable(length))
    throw Error(ErrorCode::kInternal, "fork: a sequence of " + std::to_string(length_) +
                                          " positions cannot go on from " + std::to_string(length));
  std::unique_ptr<KvPages> forked(new KvPages(*this, length));
  const size_t whole = static_cast<size_t>(length / kPagePositions), all = static_cast<size_t>(pages_of(length));
  for (size_t l = 0; l < layers_.size(); ++l) {
    const Layer& from = layers_[l];
    Layer& to = forked->layers_[l];
    to.sliding = from.sliding;
    to.pages.resize(all, nullptr);
    const size_t first = from.sliding ? static_cast<size_t>(forked->kept_from_ / kPagePositions) : 0;
    for (size_t i = first; i < whole; ++i)
      if ((to.pages[i] = from.pages[i])) pool_->share(to.pages[i]);
    if (whole == all || !from.pages[whole]) continue;
    to.pages[whole] = pool_->take();
    std::memcpy(to.pages[whole], from.pages[whole], static_cast<size_t>(pool_->page_bytes()));
  }
  return forked;
}

KeyValues KvPages::layer(int64_t index) const {
  return {.dtype = pool_->dtype(),
          .kv_heads = pool_->kv_heads(),
          .head_dim = pool_->head_dim(),
          .pages = layers_[static_cast<size_t>(index)].pages,
          .page_positions = kPagePositions};
}

KvPages& own_pages(SequenceCache* cache, const void* owner, int64_t index) {
  // The type first: what another model made is not a KvPages at all.
  if (cache && typeid(*cache) == typeid(KvPages)) {
    auto& pages = static_cast<KvPages&>(*cache);
    if (pages.owner() == owner) return pages;
  }
  throw Error(ErrorCode::kInvalidArgument, "cache " + std::to_string(index) +
                                               " of the batch: expected one that this model made, got " +
                                               (cache ? "another model's" : "none"));
}

}  // namespace g3n
