// Pages of K and V: who owns which, when they are given back, what is shared, and what may be taken back.
#include "text/kv_pages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <mutex>
#include <thread>

#include "g3n/error.h"
#include "support/errors.h"
#include "text/text_config.h"

namespace g3n {
namespace {

using ::testing::HasSubstr;

// Layers 0 .. 3 slide, 4 is full; 5 owns no K and V.
TextConfig config(int64_t window = 16, const std::string& keys = "") {
  return TextConfig::from(
      Config::parse(R"({"text_config": {"num_hidden_layers": 6, "num_kv_shared_layers": 1, "head_dim": 8,
    "num_attention_heads": 2, "num_key_value_heads": 2, "activation_sparsity_pattern": 0.0, "sliding_window": )" +
                        std::to_string(window) + keys + "}}",
                    "config.json"));
}
constexpr int64_t kSliding = 4, kOwners = 5, kFull = 4;  // sliding layers, all layers, the full one

const int kModel = 0, kOtherModel = 0;  // their addresses

struct Pages {
  explicit Pages(int64_t window = 16, int64_t context = 4096)
      : pool(std::make_shared<PagePool>(DType::kBF16, 2, 8)), cache(config(window), &kModel, pool, context) {}
  void grow(int64_t count) { append(cache, count); }
  static void append(SequenceCache& cache, int64_t count) {
    KvPages& pages = own_pages(&cache, &kModel, 0);
    pages.reserve(count);
    pages.appended(count);
    pages.commit(count);
  }

  std::shared_ptr<PagePool> pool;
  KvPages cache;
};

std::vector<std::byte*> pages_of(const SequenceCache& cache, int64_t layer) {
  const auto pages = own_pages(const_cast<SequenceCache*>(&cache), &kModel, 0).layer(layer).pages;
  return {pages.begin(), pages.end()};
}
int64_t held(const SequenceCache& cache, int64_t layer) {
  int64_t count = 0;
  for (const std::byte* page : pages_of(cache, layer)) count += page != nullptr;
  return count;
}

TEST(PagePool, CountsPagesInUseAndFreeOnes) {
  PagePool pool(DType::kQ8_0, 2, 8);
  const int64_t bytes = kv_page_bytes(DType::kQ8_0, 2, 8, 64);
  EXPECT_EQ(pool.page_bytes(), bytes);
  std::byte *a = pool.take(), *b = pool.take();
  EXPECT_EQ(reinterpret_cast<uintptr_t>(a) % kAlignment, 0u);
  EXPECT_EQ(pool.use().pages, 2);
  EXPECT_EQ(pool.use().bytes, 2 * bytes);
  pool.share(a);
  EXPECT_TRUE(pool.shared(a));
  EXPECT_EQ(pool.use().pages, 2);  // a shared page counts once
  pool.drop(a);
  EXPECT_FALSE(pool.shared(a));
  EXPECT_EQ(pool.use().pages, 2);
  pool.drop(a);
  EXPECT_EQ(pool.use().pages, 1);
  EXPECT_EQ(pool.use().free_bytes, bytes);
  EXPECT_EQ(pool.take(), a);
  EXPECT_EQ(pool.use().free_bytes, 0);
  pool.drop(a);
  pool.drop(b);  // nothing in use: nothing kept
  EXPECT_EQ(pool.use().bytes, 0);
  EXPECT_EQ(pool.use().free_bytes, 0);
}

TEST(PagePool, PagesAreZeroedWhenTaken) {
  PagePool pool(DType::kF32, 1, 8);
  std::byte *stays = pool.take(), *page = pool.take();
  std::memset(page, 0xff, static_cast<size_t>(pool.page_bytes()));
  pool.drop(page);
  ASSERT_EQ(pool.take(), page);
  for (int64_t i = 0; i < pool.page_bytes(); ++i) ASSERT_EQ(page[i], std::byte{0});
  pool.drop(page);
  pool.drop(stays);
}

TEST(PagePool, KeepsFewFreePages) {
  PagePool pool(DType::kF32, 2, 256);  // 256 KiB a page
  std::vector<std::byte*> pages;
  for (int i = 0; i < 200; ++i) pages.push_back(pool.take());
  for (int i = 1; i < 200; ++i) pool.drop(pages[static_cast<size_t>(i)]);
  EXPECT_EQ(pool.use().pages, 1);
  EXPECT_EQ(pool.use().free_bytes, 16 << 20);
  pool.drop(pages[0]);
  EXPECT_EQ(pool.use().free_bytes, 0);
}

TEST(KvPages, FullLayersKeepAllSlidingLayersTheWindowAndWhatMayBeTakenBack) {
  Pages p;
  p.grow(64);
  EXPECT_EQ(p.cache.bytes(), kOwners * p.pool->page_bytes());
  int64_t length = 64;
  for (int64_t step : {1, 78, 1, 56, 1, 500, 3, 77}) {
    p.grow(step), length += step;
    const int64_t all = (length + 63) / 64, first = std::max<int64_t>(0, length - 64 - 15) / 64;
    SCOPED_TRACE(length);
    EXPECT_EQ(p.cache.length(), length);
    EXPECT_EQ(held(p.cache, kFull), all);
    for (int64_t layer = 0; layer < kSliding; ++layer) {
      const auto pages = pages_of(p.cache, layer);
      ASSERT_EQ(static_cast<int64_t>(pages.size()), all);
      for (int64_t i = 0; i < all; ++i) EXPECT_EQ(pages[static_cast<size_t>(i)] != nullptr, i >= first) << i;
    }
    EXPECT_EQ(p.cache.bytes(), (all + kSliding * (all - first)) * p.pool->page_bytes());
    EXPECT_EQ(kv_bytes(config(), DType::kBF16, length), p.cache.bytes());
    EXPECT_EQ(p.pool->use().bytes, p.cache.bytes());
  }
}

TEST(KvPages, APageGoesExactlyWhenNoRowCanSeeIt) {
  Pages p;
  p.grow(64 + 64 + 15 - 1);
  EXPECT_EQ(held(p.cache, 0), 3);
  EXPECT_TRUE(p.cache.resumable(64 + 15 - 1));  // the next row sees from position 63 on
  p.grow(1);
  EXPECT_EQ(held(p.cache, 0), 2);
  EXPECT_TRUE(p.cache.resumable(64 + 15));
  EXPECT_FALSE(p.cache.resumable(64 + 15 - 1));
}

TEST(KvPages, SixtyFourPositionsCanAlwaysBeTakenBack) {
  for (int64_t window : {1, 2, 16, 64, 65, 130}) {
    Pages p(window);
    for (int64_t length = 0; length < 700; ++length) {
      const int64_t back = std::max<int64_t>(0, length - 64);
      ASSERT_TRUE(p.cache.resumable(back)) << "window " << window << ", length " << length;
      ASSERT_TRUE(p.cache.resumable(length));
      ASSERT_FALSE(p.cache.resumable(length + 1));
      ASSERT_TRUE(p.cache.resumable(0));  // nothing is seen of what was before
      p.grow(1);
    }
    ASSERT_FALSE(p.cache.resumable(-1));
    // All that the rows behind a legal length see is there.
    for (int64_t length = 700; length >= 0; --length) {
      const int64_t begin = std::max<int64_t>(0, length - (window - 1));
      bool there = true;
      for (int64_t i = begin; i < length; ++i) there &= pages_of(p.cache, 0)[static_cast<size_t>(i / 64)] != nullptr;
      ASSERT_EQ(p.cache.resumable(length), there) << "window " << window << ", length " << length;
    }
  }
}

// What a sequence says of the time to come is what comes, and what it says that it needs is what it takes.
TEST(KvPages, KnowsAheadWhatItLosesAndWhatItTakes) {
  for (const int64_t window : {1, 16, 130})
    for (const int64_t more : {1, 17, 64, 200}) {
      Pages p(window);
      for (int64_t length = 0; length < 600; length += more) {
        const int64_t free = p.pool->use().bytes, needed = p.cache.bytes_to_append(more);
        p.cache.reserve(more);
        ASSERT_EQ(p.pool->use().bytes - free, needed) << "window " << window << ", length " << length;
        p.cache.give_back();
        std::vector<bool> stays;
        for (int64_t at = 0; at <= length; ++at) stays.push_back(p.cache.stays_resumable(at, length + more));
        ASSERT_FALSE(p.cache.stays_resumable(length + more + 1, length + more));
        p.grow(more);
        for (int64_t at = 0; at <= length; ++at)
          ASSERT_EQ(p.cache.resumable(at), stays[static_cast<size_t>(at)])
              << "window " << window << ", from " << length << " by " << more << ", at " << at;
      }
    }
}

TEST(KvPages, WithoutSlidingLayersEveryLengthCanBeResumed) {
  const auto pool = std::make_shared<PagePool>(DType::kBF16, 2, 8);
  std::string types = R"(, "layer_types": ["full_attention")";
  for (int i = 0; i < 5; ++i) types += R"(, "full_attention")";
  KvPages cache(config(16, types + "]"), &kModel, pool, 4096);
  Pages::append(cache, 1000);
  EXPECT_TRUE(cache.resumable(3));
  cache.truncate(3);
  EXPECT_EQ(cache.bytes(), 5 * pool->page_bytes());
}

TEST(KvPages, TruncateGivesBackPagesBeyondAndCountsFromTheLongestLength) {
  Pages p;
  p.grow(1000);
  EXPECT_EQ(held(p.cache, kFull), 16);
  p.cache.truncate(950);
  EXPECT_EQ(p.cache.length(), 950);
  EXPECT_EQ(held(p.cache, kFull), 15);
  EXPECT_TRUE(p.cache.resumable(936));
  EXPECT_FALSE(p.cache.resumable(936 - 64));  // sliding pages went when 1000 were committed
  EXPECT_THAT(testing::error_of(ErrorCode::kInternal, [&] { p.cache.truncate(800); }), HasSubstr("from 800"));
  EXPECT_THAT(testing::error_of(ErrorCode::kInternal, [&] { p.cache.truncate(951); }), HasSubstr("950 positions"));
  EXPECT_EQ(p.cache.length(), 950);
  p.cache.truncate(0);
  EXPECT_EQ(p.cache.bytes(), 0);
  p.grow(100);
  EXPECT_EQ(held(p.cache, 0), 2);
  EXPECT_EQ(p.cache.length(), 100);
}

// With a window of 1 nothing before a row is seen: a page that was given back is taken anew.
TEST(KvPages, AWindowOfOneGoesOnFromAnywhere) {
  Pages p(1);
  p.grow(300);
  EXPECT_EQ(pages_of(p.cache, 0)[1], nullptr);
  p.cache.truncate(100);
  p.grow(10);
  EXPECT_NE(pages_of(p.cache, 0)[1], nullptr);
  EXPECT_EQ(held(p.cache, 0), 1);
  p.grow(100), p.grow(200);
  EXPECT_EQ(held(p.cache, 0), 2);  // positions 320 to 409: the new page went, too
  const auto forked = p.cache.fork(70);
  Pages::append(*forked, 400);
  EXPECT_EQ(forked->length(), 470);
}

TEST(KvPages, WhatIsNotCommittedLeavesNothing) {
  Pages p;
  p.grow(60);
  const int64_t before = p.cache.bytes();
  p.cache.reserve(500);
  EXPECT_GT(p.cache.bytes(), before);
  p.cache.give_back();
  EXPECT_EQ(p.cache.bytes(), before);
  EXPECT_EQ(p.cache.length(), 60);
  p.cache.reserve(500);
  p.cache.appended(500);
  p.cache.commit(5);  // the first five alone
  EXPECT_EQ(p.cache.length(), 65);
  EXPECT_EQ(held(p.cache, kFull), 2);
  EXPECT_THAT(testing::error_of(ErrorCode::kInternal, [&] { p.cache.commit(1); }),
              HasSubstr("commit: 1 positions of 0"));
  p.cache.reserve(3);
  EXPECT_THAT(testing::error_of(ErrorCode::kInternal, [&] { p.cache.commit(3); }),
              HasSubstr("commit"));  // never written
  p.cache.appended(3);
  EXPECT_THAT(testing::error_of(ErrorCode::kInternal, [&] { p.cache.commit(4); }), HasSubstr("4 positions of 3"));
  p.cache.commit(0);
  EXPECT_EQ(p.cache.length(), 65);
}

TEST(KvPages, ForksShareWholePagesAndCopyTheLastOne) {
  Pages p;
  p.grow(200);
  const int64_t page = p.pool->page_bytes();
  for (int64_t layer = 0; layer < kOwners; ++layer) {
    const auto pages = pages_of(p.cache, layer);
    for (size_t i = 0; i < pages.size(); ++i)
      if (pages[i])
        std::memset(pages[i], static_cast<int>(1 + layer * 8 + static_cast<int64_t>(i)), static_cast<size_t>(page));
  }
  const int64_t before = p.pool->use().pages;
  const auto forked = p.cache.fork(180);
  EXPECT_EQ(forked->length(), 180);
  EXPECT_EQ(forked->context(), 4096);
  EXPECT_EQ(p.pool->use().pages, before + kOwners);
  for (int64_t layer = 0; layer < kOwners; ++layer) {
    const auto from = pages_of(p.cache, layer), to = pages_of(*forked, layer);
    ASSERT_EQ(to.size(), 3u);
    EXPECT_EQ(to[0], from[0]);
    EXPECT_EQ(to[1], from[1]);
    EXPECT_NE(to[2], from[2]);
    EXPECT_EQ(std::memcmp(to[2], from[2], static_cast<size_t>(page)), 0);
  }
  const auto whole = p.cache.fork(192);
  EXPECT_EQ(p.pool->use().pages, before + kOwners);  // all shared
  EXPECT_EQ(pages_of(*whole, kFull)[2], pages_of(p.cache, kFull)[2]);
  EXPECT_THAT(testing::error_of(ErrorCode::kInternal, [&] { p.cache.fork(201); }), HasSubstr("fork"));
  p.grow(800);
  EXPECT_THAT(testing::error_of(ErrorCode::kInternal, [&] { p.cache.fork(500); }), HasSubstr("from 500"));
  const auto late = p.cache.fork(950);
  EXPECT_FALSE(late->resumable(950 - 64));  // as in the one it came from
}

TEST(KvPages, NobodyWritesIntoASharedPage) {
  Pages p;
  p.grow(192);
  const auto forked = p.cache.fork(192);
  const auto shared = pages_of(*forked, kFull);
  forked->truncate(150);
  EXPECT_NE(pages_of(*forked, kFull)[2], shared[2]);  // copied
  EXPECT_EQ(pages_of(*forked, kFull)[1], shared[1]);
  EXPECT_EQ(pages_of(p.cache, kFull)[2], shared[2]);
  p.cache.truncate(140);  // no longer shared
  EXPECT_EQ(pages_of(p.cache, kFull)[2], shared[2]);
  p.cache.truncate(128);  // a page's end: nothing is written there
  const int64_t before = p.pool->use().pages;
  const auto again = p.cache.fork(128);
  EXPECT_EQ(p.pool->use().pages, before);
  p.grow(1), Pages::append(*again, 1);
  EXPECT_NE(pages_of(p.cache, 0)[2], pages_of(*again, 0)[2]);
}

TEST(KvPages, MemoryGoesWhenTheLastOneGoes) {
  Pages p;
  p.grow(300);
  auto forked = p.cache.fork(256);
  EXPECT_EQ(forked->bytes(), (4 + kSliding) * p.pool->page_bytes());  // sliding layers: positions 192 to 255
  p.cache.truncate(250);
  p.cache.truncate(236);
  const int64_t both = p.pool->use().pages;
  forked.reset();
  EXPECT_EQ(p.pool->use().pages, both - kOwners);  // what it had for itself since the other was truncated
  EXPECT_EQ(p.pool->use().bytes, p.cache.bytes());
}

TEST(KvPages, BoundsAreErrors) {
  Pages p(16, 50);
  EXPECT_THAT(testing::error_of(ErrorCode::kContextFull, [&] { p.cache.reserve(51); }),
              HasSubstr("51 positions needed"));
  p.grow(40);
  EXPECT_EQ(testing::error_of(ErrorCode::kContextFull, [&] { p.cache.reserve(11); }),
            "the context is full: 51 positions needed, the context has 50");
  EXPECT_THAT(testing::error_of(ErrorCode::kContextFull, [&] { p.cache.reserve(INT64_MAX - 40); }),
              HasSubstr("has 50"));
  p.grow(10);
  EXPECT_THAT(testing::error_of(ErrorCode::kInvalidArgument, [&] { Pages(16, 0); }),
              HasSubstr("at least one position, got 0"));
}

TEST(KvPages, ForeignCachesAreRefused) {
  struct Foreign : SequenceCache {
    int64_t length() const override { return 0; }
    int64_t context() const override { return 1; }
    int64_t bytes() const override { return 0; }
    void commit(int64_t) override {}
    bool resumable(int64_t) const override { return true; }
    bool stays_resumable(int64_t, int64_t) const override { return true; }
    int64_t bytes_to_append(int64_t) const override { return 0; }
    void truncate(int64_t) override {}
    std::unique_ptr<SequenceCache> fork(int64_t) const override { return nullptr; }
  } foreign;
  Pages p;
  EXPECT_EQ(&own_pages(&p.cache, &kModel, 0), &p.cache);
  p.grow(3);
  const auto forked = p.cache.fork(2);
  EXPECT_EQ(&own_pages(forked.get(), &kModel, 0), forked.get());
  const auto refused = [](SequenceCache* cache, const void* model) {
    return testing::error_of(ErrorCode::kInvalidArgument, [&] { own_pages(cache, model, 7); });
  };
  EXPECT_EQ(refused(&foreign, &kModel), "cache 7 of the batch: expected one that this model made, got another model's");
  EXPECT_THAT(refused(&p.cache, &kOtherModel), HasSubstr("another model's"));
  EXPECT_THAT(refused(nullptr, &kModel), HasSubstr("got none"));
}

TEST(KvPages, AnyThreadMayDrop) {
  Pages p;
  p.grow(640);
  std::atomic<bool> done{false};
  std::mutex mutex;
  std::vector<std::unique_ptr<SequenceCache>> dropped;
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i)
    threads.emplace_back([&] {
      for (;;) {
        std::unique_ptr<SequenceCache> last;
        const bool ends = done;
        {
          const std::lock_guard lock(mutex);
          if (!dropped.empty()) last = std::move(dropped.back()), dropped.pop_back();
        }
        if (!last && ends) return;
        if (!last) std::this_thread::yield();
      }
    });
  for (int i = 0; i < 300; ++i) {
    auto forked = p.cache.fork(640 - i % 64);
    Pages::append(*forked, 40);
    forked->truncate(630 - i % 64);
    const std::lock_guard lock(mutex);
    dropped.push_back(std::move(forked));
  }
  done = true;
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(p.pool->use().bytes, p.cache.bytes());
  for (std::byte* page : pages_of(p.cache, kFull)) EXPECT_FALSE(p.pool->shared(page));
}

}  // namespace
}  // namespace g3n
