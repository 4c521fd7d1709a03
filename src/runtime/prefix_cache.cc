#include "runtime/prefix_cache.h"

#include <algorithm>
#include <utility>

namespace g3n {
namespace {

bool has_content(const SoftSpan& span) { return span.content != ContentHash{}; }

// What stands for no medium of a file or an array has no content hash: its values are compared.
bool same_tokens(const SoftSpan& a, const SoftSpan& b) {
  if (a.row != b.row || a.count != b.count) return false;
  if (has_content(a) || has_content(b)) return a.content == b.content;
  return a.tokens == b.tokens ||
         (a.tokens && b.tokens && a.tokens->rows == b.tokens->rows && a.tokens->values == b.tokens->values);
}

size_t spans_before(std::span<const SoftSpan> spans, int64_t position) {
  size_t count = 0;
  while (count < spans.size() && spans[count].first < position) ++count;
  return count;
}

}  // namespace

int64_t common_prefix(const TokensView& a, const TokensView& b) {
  const size_t most = std::min(a.ids.size(), b.ids.size());
  const auto differ = std::mismatch(a.ids.begin(), a.ids.begin() + static_cast<std::ptrdiff_t>(most), b.ids.begin());
  int64_t length = differ.first - a.ids.begin();
  // Spans that begin within it must be the same ones, or it ends before the first that is not.
  const size_t in_a = spans_before(a.soft, length), in_b = spans_before(b.soft, length);
  for (size_t i = 0; i < std::max(in_a, in_b); ++i) {
    if (i < in_a && i < in_b && a.soft[i].first == b.soft[i].first && same_tokens(a.soft[i], b.soft[i])) continue;
    if (i < in_a) length = std::min(length, a.soft[i].first);
    if (i < in_b) length = std::min(length, b.soft[i].first);
    break;
  }
  return length;
}

bool is_worth_going_on(const SequenceCache& cache, int64_t length) {
  return (length == cache.length() || length >= kLeastShared) && cache.resumable(length);
}

PrefixCache::Hit PrefixCache::find(const TokensView& prompt, const std::string& salt, int64_t most) {
  Entry* best = nullptr;
  Hit hit;
  for (Entry& entry : entries_) {
    if (entry.salt != salt) continue;
    const int64_t common = std::min(common_prefix(entry.tokens(), prompt), most);
    hit.common = std::max(hit.common, common);
    if (common > hit.length && is_worth_going_on(*entry.cache, common)) best = &entry, hit.length = common;
  }
  if (!best) return hit;
  best->used = ++clock_;
  hit.cache = best->cache.get();
  return hit;
}

void PrefixCache::keep(const TokensView& tokens, const std::string& salt, std::unique_ptr<SequenceCache> cache) {
  const int64_t length = cache->length();
  if (length == 0) return;
  const TokensView held{tokens.ids.first(static_cast<size_t>(length)),
                        tokens.soft.first(spans_before(tokens.soft, length))};
  // Whether `from` can go on from wherever a sequence of these tokens ends.
  const auto replaces = [](const SequenceCache& from, const TokensView& its, const TokensView& other) {
    const int64_t end = static_cast<int64_t>(other.ids.size());
    return its.ids.size() >= other.ids.size() && common_prefix(its, other) == end && from.resumable(end);
  };
  for (Entry& entry : entries_)
    if (entry.salt == salt && replaces(*entry.cache, entry.tokens(), held)) {
      entry.used = ++clock_;
      return;
    }
  std::erase_if(entries_,
                [&](const Entry& entry) { return entry.salt == salt && replaces(*cache, held, entry.tokens()); });
  Entry entry{.salt = salt,
              .ids = {held.ids.begin(), held.ids.end()},
              .soft = {held.soft.begin(), held.soft.end()},
              .cache = std::move(cache),
              .used = ++clock_};
  for (SoftSpan& span : entry.soft)
    if (has_content(span)) span.tokens.reset();
  entries_.push_back(std::move(entry));
}

bool PrefixCache::drop_oldest(const SequenceCache* spared) {
  const auto oldest = std::min_element(entries_.begin(), entries_.end(), [&](const Entry& a, const Entry& b) {
    return std::pair(a.cache.get() == spared, a.used) < std::pair(b.cache.get() == spared, b.used);
  });
  if (oldest == entries_.end() || oldest->cache.get() == spared) return false;
  entries_.erase(oldest);
  ++evictions_;
  return true;
}

}  // namespace g3n
