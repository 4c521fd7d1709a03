// MediaCache: soft tokens of media that were encoded before, by what the media are made of. Any thread.
#pragma once
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "g3n/prompt.h"

namespace g3n {

class MediaCache {
 public:
  explicit MediaCache(int64_t most_bytes) : most_bytes_(most_bytes) {}

  struct Use {
    int64_t bytes = 0, lookups = 0, hits = 0;
  };

  // Null: not there. counts: as a lookup of use().
  std::shared_ptr<const SoftTokens> find(const ContentHash& content, bool counts = true);
  // What was not used for the longest time makes room; what is too large for the whole is not kept.
  void keep(const ContentHash& content, std::shared_ptr<const SoftTokens> tokens);
  Use use() const;

 private:
  using Entry = std::pair<ContentHash, std::shared_ptr<const SoftTokens>>;

  const int64_t most_bytes_;
  mutable std::mutex mutex_;  // of all below
  std::list<Entry> entries_;  // used last comes first
  std::map<ContentHash, std::list<Entry>::iterator> by_content_;
  Use use_;
};

}  // namespace g3n
