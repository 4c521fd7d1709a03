#include "runtime/media_cache.h"

namespace g3n {
namespace {

int64_t bytes_of(const SoftTokens& tokens) { return static_cast<int64_t>(tokens.values.size() * sizeof(float)); }

}  // namespace

std::shared_ptr<const SoftTokens> MediaCache::find(const ContentHash& content, bool counts) {
  std::lock_guard lock(mutex_);
  use_.lookups += counts;
  const auto found = by_content_.find(content);
  if (found == by_content_.end()) return nullptr;
  use_.hits += counts;
  entries_.splice(entries_.begin(), entries_, found->second);
  return entries_.front().second;
}

void MediaCache::keep(const ContentHash& content, std::shared_ptr<const SoftTokens> tokens) {
  const int64_t bytes = bytes_of(*tokens);
  std::lock_guard lock(mutex_);
  if (bytes > most_bytes_ || by_content_.contains(content)) return;
  while (use_.bytes + bytes > most_bytes_) {
    use_.bytes -= bytes_of(*entries_.back().second);
    by_content_.erase(entries_.back().first);
    entries_.pop_back();
  }
  entries_.emplace_front(content, std::move(tokens));
  by_content_[content] = entries_.begin();
  use_.bytes += bytes;
}

MediaCache::Use MediaCache::use() const {
  std::lock_guard lock(mutex_);
  return use_;
}

}  // namespace g3n
