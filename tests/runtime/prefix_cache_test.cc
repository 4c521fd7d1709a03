// What is kept of sequences that ended, and what prompts find of it.
#include "runtime/prefix_cache.h"

#include <gtest/gtest.h>

#include <numeric>

#include "runtime/media_cache.h"
#include "support/fake_model.h"

namespace g3n::testing {
namespace {

using Ids = std::vector<std::int32_t>;

SoftSpan span(std::int64_t first, std::int64_t count, std::uint8_t content, float value = 0) {
  SoftSpan span{.first = first, .row = 0, .count = count, .tokens = nullptr, .content = {}};
  span.content[0] = content;
  span.tokens = std::make_shared<const SoftTokens>(SoftTokens{count, std::vector<float>(2, value)});
  return span;
}

Ids counted(std::int32_t from, size_t count) {
  Ids ids(count);
  std::iota(ids.begin(), ids.end(), from);
  return ids;
}
struct Tokens {
  Ids ids;
  std::vector<SoftSpan> soft = {};
  TokensView view() const { return {ids, soft}; }
};

TEST(CommonPrefix, EndsAtTheFirstIdThatDiffers) {
  EXPECT_EQ(common_prefix(Tokens{{1, 2, 3}}.view(), Tokens{{1, 2, 4, 5}}.view()), 2);
  EXPECT_EQ(common_prefix(Tokens{{1, 2, 3}}.view(), Tokens{{1, 2, 3, 4}}.view()), 3);
  EXPECT_EQ(common_prefix(Tokens{{}}.view(), Tokens{{1}}.view()), 0);
}

TEST(CommonPrefix, EndsBeforeAMediumThatDiffers) {
  const Ids ids{1, 9, 9, 2, 9, 9, 3};
  const Tokens a{ids, {span(1, 2, 7), span(4, 2, 8)}};
  EXPECT_EQ(common_prefix(a.view(), Tokens{ids, {span(1, 2, 7), span(4, 2, 8)}}.view()), 7);
  EXPECT_EQ(common_prefix(a.view(), Tokens{ids, {span(1, 2, 7), span(4, 2, 6)}}.view()), 4);
  EXPECT_EQ(common_prefix(a.view(), Tokens{ids, {span(1, 2, 6), span(4, 2, 8)}}.view()), 1);
  EXPECT_EQ(common_prefix(a.view(), Tokens{ids}.view()), 1);             // the same ids as text
  EXPECT_EQ(common_prefix(Tokens{{1, 9}, a.soft}.view(), a.view()), 2);  // in the middle of a medium
}

// A medium that nobody hashed is told by its values.
TEST(CommonPrefix, MediaWithoutContentAreComparedByValue) {
  const Ids ids{1, 9, 9, 2};
  EXPECT_EQ(common_prefix(Tokens{ids, {span(1, 2, 0, 5)}}.view(), Tokens{ids, {span(1, 2, 0, 5)}}.view()), 4);
  EXPECT_EQ(common_prefix(Tokens{ids, {span(1, 2, 0, 5)}}.view(), Tokens{ids, {span(1, 2, 0, 6)}}.view()), 1);
  EXPECT_EQ(common_prefix(Tokens{ids, {span(1, 2, 0, 5)}}.view(), Tokens{ids, {span(1, 2, 3, 5)}}.view()), 1);
}

// A cache that holds these ids.
struct Filler {
  FakeModel model{{.vocab_size = 4096}};
  std::unique_ptr<SequenceCache> cache_of(const Ids& ids) {
    auto cache = model.make_cache(100000);
    std::vector<Row> rows;
    for (size_t i = 0; i < ids.size(); ++i) rows.push_back({.position = static_cast<std::int32_t>(i), .id = ids[i]});
    SequenceCache* const caches[] = {cache.get()};
    model.forward({rows, caches, {}}, {nullptr, {0, 4096}}, {});
    cache->commit(static_cast<std::int64_t>(ids.size()));
    return cache;
  }
  void keep(PrefixCache& prefixes, const Ids& ids, const std::string& salt = "") {
    prefixes.keep(Tokens{ids}.view(), salt, cache_of(ids));
  }
};

TEST(PrefixCache, FindsTheLongestBeginningThatCanBeGoneOnFrom) {
  Filler filler;
  PrefixCache prefixes;
  const Ids begin = counted(100, 200);
  filler.keep(prefixes, begin);
  filler.keep(prefixes, joined(begin, counted(1000, 300)));
  EXPECT_EQ(prefixes.find(Tokens{joined(begin, {1, 2})}.view(), "", 201).length, 200);
  EXPECT_EQ(prefixes.find(Tokens{joined(begin, counted(1000, 290))}.view(), "", 489).length, 489);
  EXPECT_EQ(prefixes.find(Tokens{joined(begin, counted(1000, 100))}.view(), "", 299).length, 200);  // window is gone
  EXPECT_EQ(prefixes.find(Tokens{joined(counted(100, 199), {7})}.view(), "", 199).length, 199);
  EXPECT_EQ(prefixes.find(Tokens{counted(100, 200)}.view(), "", 199).length, 199);
  EXPECT_EQ(prefixes.find(Tokens{counted(50, 200)}.view(), "", 199).length, 0);
  EXPECT_EQ(prefixes.find(Tokens{joined(begin, counted(1000, 100))}.view(), "", 299).common, 299);
}

TEST(PrefixCache, ABeginningOfAFewTokensIsNotWorthACopyUnlessItIsAWholeSequence) {
  Filler filler;
  PrefixCache prefixes;
  filler.keep(prefixes, counted(1, 30));
  filler.keep(prefixes, counted(500, 5));
  EXPECT_EQ(prefixes.find(Tokens{joined(counted(1, 8), counted(900, 40))}.view(), "", 47).length, 0);
  EXPECT_EQ(prefixes.find(Tokens{joined(counted(500, 5), counted(900, 40))}.view(), "", 44).length, 5);
}

TEST(PrefixCache, SaltsShareNothing) {
  Filler filler;
  PrefixCache prefixes;
  filler.keep(prefixes, counted(1, 30), "a");
  const Tokens prompt{joined(counted(1, 30), {5})};
  EXPECT_EQ(prefixes.find(prompt.view(), "", 30).length, 0);
  EXPECT_EQ(prefixes.find(prompt.view(), "b", 30).length, 0);
  EXPECT_EQ(prefixes.find(prompt.view(), "a", 30).length, 30);
}

TEST(PrefixCache, KeepsOneOfThoseThatCanTakeEachOthersPlace) {
  Filler filler;
  PrefixCache prefixes;
  filler.keep(prefixes, counted(1, 200));
  filler.keep(prefixes, counted(1, 230));  // the first is within its last 64 positions
  EXPECT_EQ(filler.model.log()->caches, 1);
  filler.keep(prefixes, counted(1, 200));
  EXPECT_EQ(filler.model.log()->caches, 1);
  filler.keep(prefixes, counted(1, 400));
  EXPECT_EQ(filler.model.log()->caches, 2);
  EXPECT_EQ(prefixes.find(Tokens{counted(1, 220)}.view(), "", 219).length, 219);
}

TEST(PrefixCache, WhatWasUsedLastStaysLongest) {
  Filler filler;
  PrefixCache prefixes;
  filler.keep(prefixes, counted(100, 50));
  filler.keep(prefixes, counted(300, 50));
  filler.keep(prefixes, counted(500, 50));
  EXPECT_EQ(prefixes.find(Tokens{counted(100, 51)}.view(), "", 50).length, 50);
  EXPECT_TRUE(prefixes.drop_oldest());
  EXPECT_EQ(prefixes.find(Tokens{counted(300, 51)}.view(), "", 50).length, 0);
  const PrefixCache::Hit last = prefixes.find(Tokens{counted(500, 51)}.view(), "", 50);
  EXPECT_EQ(last.length, 50);
  EXPECT_TRUE(prefixes.drop_oldest(last.cache));
  EXPECT_FALSE(prefixes.drop_oldest(last.cache));
  EXPECT_TRUE(prefixes.drop_oldest());
  EXPECT_FALSE(prefixes.drop_oldest());
  EXPECT_EQ(prefixes.evictions(), 3);
  EXPECT_EQ(filler.model.log()->caches, 0);
}

TEST(MediaCache, KeepsWhatWasUsedLastWithinItsBytes) {
  MediaCache cache(3 * 8);
  const auto tokens = [](float value) { return std::make_shared<const SoftTokens>(SoftTokens{1, {value, value}}); };
  const auto key = [](std::uint8_t name) {
    ContentHash hash{};
    hash[0] = name;
    return hash;
  };
  EXPECT_EQ(cache.find(key(1)), nullptr);
  for (std::uint8_t name = 1; name <= 3; ++name) cache.keep(key(name), tokens(name));
  EXPECT_EQ(cache.find(key(1))->values[0], 1);
  cache.keep(key(4), tokens(4));
  EXPECT_EQ(cache.find(key(2)), nullptr);
  EXPECT_NE(cache.find(key(1)), nullptr);
  cache.keep(key(5), std::make_shared<const SoftTokens>(SoftTokens{1, std::vector<float>(7)}));  // larger than all
  EXPECT_EQ(cache.find(key(5), false), nullptr);
  EXPECT_EQ(cache.use().bytes, 3 * 8);
  EXPECT_EQ(cache.use().lookups, 4);
  EXPECT_EQ(cache.use().hits, 2);
}

}  // namespace
}  // namespace g3n::testing
