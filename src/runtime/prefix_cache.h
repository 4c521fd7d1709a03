// PrefixCache: K and V of tokens that were computed before, for prompts that begin alike (server.md 13). What ended is
// kept whole, with what a longer sequence would lose of its past forked off before; a prompt goes on from the longest
// beginning that it has in common with any of them. Of the scheduler's thread alone.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "g3n/prompt.h"
#include "seam/language_model.h"

namespace g3n {

// Tokens of a sequence: ids, and what stands in the place of media. Valid as long as what it was made from.
struct TokensView {
  std::span<const int32_t> ids;
  std::span<const SoftSpan> soft;  // ascending; may reach beyond ids
};

// How many first positions of a and b are the same tokens, media included.
int64_t common_prefix(const TokensView& a, const TokensView& b);

// A shorter beginning that is no kept sequence as a whole is not worth its copy: every prompt begins with <bos> and a
// turn's header.
inline constexpr int64_t kLeastShared = 16;

// Whether a prompt that begins with the first `length` positions of a cache is to go on from there.
bool is_worth_going_on(const SequenceCache& cache, int64_t length);

class PrefixCache {
 public:
  // The longest beginning of `prompt` that is there, at most `most` positions; length 0: none. The cache stays here: it
  // is to be forked at `length`. Where two prompts went different ways a third is likely to come: `common`. Requests of
  // different salts share nothing.
  struct Hit {
    const SequenceCache* cache = nullptr;
    int64_t length = 0;
    int64_t common = 0;  // positions that are there, but may not be gone on from
  };
  Hit find(const TokensView& prompt, const std::string& salt, int64_t most);

  // Keeps a cache, which holds the first cache->length() of `tokens`. What it can go on from in the place of others is
  // dropped; it itself is, if another can take its place.
  void keep(const TokensView& tokens, const std::string& salt, std::unique_ptr<SequenceCache> cache);

  // Drops what was not used for the longest time, but not `spared`; false: nothing else is there.
  bool drop_oldest(const SequenceCache* spared = nullptr);
  int64_t evictions() const { return evictions_; }

 private:
  struct Entry {
    std::string salt;
    std::vector<int32_t> ids;
    std::vector<SoftSpan> soft;  // without the tokens of those that their content tells apart
    std::unique_ptr<SequenceCache> cache;
    std::uint64_t used = 0;

    TokensView tokens() const { return {ids, soft}; }
  };

  std::vector<Entry> entries_;
  std::uint64_t clock_ = 0;
  int64_t evictions_ = 0;
};

}  // namespace g3n
