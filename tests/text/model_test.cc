// What the decoder promises about bits: threads, batches, chunks, the cut, forks and positions taken back change none
// (design 3.8); what a failed call leaves behind; and its errors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <limits>

#include "support/inputs.h"
#include "text/models.h"

namespace g3n::testing {
namespace {

using ::testing::HasSubstr;

std::vector<int32_t> prompt_ids(int64_t count, int64_t seed) { return golden_prompt(count, seed); }

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * 4) == 0;
}

struct Precision {
  const char* name;
  ComputeType compute;
  DType kv;
};
class TextBits : public ::testing::TestWithParam<Precision> {
 protected:
  TextRun run(TextRun r) const {
    r.compute = GetParam().compute, r.kv = GetParam().kv;
    return r;
  }
};

TEST_P(TextBits, ThreadsChangeNothing) {
  const auto want = TextRunner(*tiny_text().model, run({.threads = 1})).feed(prompt_ids(70, 3));
  for (int threads : {2, 3}) {
    const auto got = TextRunner(*tiny_text().model, run({.threads = threads})).feed(prompt_ids(70, 3));
    for (size_t i = 0; i < want.size(); ++i)
      ASSERT_TRUE(same_bits(got[i], want[i])) << threads << " threads, row " << i;
  }
}

TEST_P(TextBits, ChunksChangeNothing) {
  const std::vector<int32_t> ids = prompt_ids(150, 4);
  TextRunner whole(*tiny_text().model, run({}));
  const auto want = whole.feed(ids);
  const auto want_next = whole.feed({7})[0];
  for (int64_t chunk : {1, 7, 64, 512}) {
    TextRunner runner(*tiny_text().model, run({.chunk = chunk}));
    const auto got = runner.feed(ids);
    for (size_t i = 0; i < want.size(); ++i)
      ASSERT_TRUE(same_bits(got[i], want[i])) << "chunks of " << chunk << ", row " << i;
    ASSERT_TRUE(same_bits(runner.feed({7})[0], want_next)) << "chunks of " << chunk;
  }
}

TEST_P(TextBits, ABatchOfSixteenChangesNothing) {
  std::vector<std::vector<int32_t>> sequences;
  for (int i = 0; i < 16; ++i) sequences.push_back(prompt_ids(1 + 5 * i, i));
  const auto got = feed_batch(*tiny_text().model, run({}), sequences);
  for (size_t s = 0; s < sequences.size(); ++s) {
    const auto want = TextRunner(*tiny_text().model, run({})).feed(sequences[s]);
    for (size_t i = 0; i < want.size(); ++i)
      ASSERT_TRUE(same_bits(got[s][i], want[i])) << "sequence " << s << ", row " << i;
  }
}

TEST_P(TextBits, TheCutChangesNothing) {
  const std::vector<int32_t> ids = prompt_ids(60, 5);
  TextRunner whole(*tiny_text().model, run({}));
  TextRunner cut(*tiny_text().model, run({.chunk = 16, .all_logits = false}));
  ASSERT_TRUE(same_bits(cut.feed(ids).back(), whole.feed(ids).back()));
  for (int32_t id : {9, 300, 17}) ASSERT_TRUE(same_bits(cut.feed({id})[0], whole.feed({id})[0])) << id;
}

// ids[first ..] fed to a sequence that stands at `first`, against the rows of a fresh run.
void expect_rest(TextRunner& runner, const std::vector<int32_t>& ids, const std::vector<std::vector<float>>& want) {
  const auto first = static_cast<size_t>(runner.cache().length());
  const auto got = runner.feed({ids.begin() + static_cast<int64_t>(first), ids.end()});
  ASSERT_EQ(got.size(), ids.size() - first);
  for (size_t i = 0; i < got.size(); ++i)
    ASSERT_TRUE(same_bits(got[i], want[first + i])) << "from " << first << ", row " << first + i;
}

TEST_P(TextBits, PositionsTakenBackChangeNothing) {
  const std::vector<int32_t> ids = prompt_ids(300, 21), others = prompt_ids(90, 22);
  const auto want = TextRunner(*tiny_text().model, run({})).feed(ids);
  for (int64_t chunk : {1, 7, 64, 512}) {
    SCOPED_TRACE(chunk);
    TextRunner runner(*tiny_text().model, run({.chunk = chunk}));
    runner.feed(ids);
    for (int64_t back : {1, 63, 64}) {
      runner.cache().truncate(300 - back);
      expect_rest(runner, ids, want);
    }
    runner.cache().truncate(260);
    runner.feed({others.begin(), others.begin() + 20});  // another way, given up
    runner.cache().truncate(255);
    expect_rest(runner, ids, want);
    runner.cache().truncate(0);
    runner.feed(others);
    runner.cache().truncate(0);
    expect_rest(runner, ids, want);
  }
}

TEST_P(TextBits, ForksChangeNothing) {
  const std::vector<int32_t> ids = prompt_ids(300, 23), others = prompt_ids(200, 24);
  const TextModel& model = *tiny_text().model;
  const auto want = TextRunner(model, run({})).feed(ids);
  for (int64_t chunk : {1, 7, 64, 512}) {
    SCOPED_TRACE(chunk);
    TextRunner runner(model, run({.chunk = chunk}));
    runner.feed({ids.begin(), ids.begin() + 230});
    TextRunner at_a_page(model, run({.chunk = chunk}), runner.cache().fork(192)),
        within_a_page(model, run({.chunk = chunk}), runner.cache().fork(200)),
        other_way(model, run({.chunk = chunk}), runner.cache().fork(192));
    other_way.feed(others);
    expect_rest(at_a_page, ids, want);
    other_way.cache().truncate(other_way.cache().length() - 64);
    expect_rest(runner, ids, want);
    TextRunner again(model, run({.chunk = chunk}), at_a_page.cache().fork(256));
    at_a_page.cache().truncate(240);  // into a page that it shares
    at_a_page.feed(others);
    expect_rest(again, ids, want);
    expect_rest(within_a_page, ids, want);
  }
}

TEST_P(TextBits, APoisonedSequenceLeavesNothingInItsPages) {
  const std::vector<int32_t> ids = prompt_ids(100, 25);
  const TextModel& model = *tiny_text().model;
  const TextRun r = run({.chunk = 37});
  const auto want = TextRunner(model, r).feed(ids);
  const auto pool = make_pool(model, r.cache_type());
  const auto make = [&] { return model.make_cache(pool, 4096); };
  TextRunner bystander(model, r, make());  // or the pool would give its pages back to the system
  bystander.feed({5});
  const std::vector<float> nan(static_cast<size_t>(model.config().hidden_size),
                               std::numeric_limits<float>::quiet_NaN());
  const float* const soft_tokens[] = {nan.data()};
  {
    TextRunner poisoned(model, r, make());
    const auto logits = poisoned.feed(ids, std::vector<int32_t>(ids.size(), 0), soft_tokens);
    ASSERT_TRUE(std::isnan(logits.back()[0]));
  }
  ASSERT_GT(pool->use().free_bytes, 0);
  const int64_t free_before = pool->use().free_bytes;
  TextRunner next(model, r, make());
  expect_rest(next, ids, want);
  EXPECT_LT(pool->use().free_bytes, free_before);  // the same pages
  // Nor within one sequence, behind the positions that it keeps.
  next.cache().truncate(70);
  next.feed({ids.begin() + 70, ids.end()}, std::vector<int32_t>(30, 0), soft_tokens);
  next.cache().truncate(70);
  expect_rest(next, ids, want);
  next.cache().truncate(70);
  next.feed({ids.begin() + 70, ids.end()}, std::vector<int32_t>(30, 0), soft_tokens);
  next.cache().truncate(70);
  for (size_t i = 70; i < ids.size(); ++i) ASSERT_TRUE(same_bits(next.feed({ids[i]})[0], want[i])) << i;
}

INSTANTIATE_TEST_SUITE_P(Text, TextBits,
                         ::testing::Values(Precision{"f32", ComputeType::kF32, DType::kF32},
                                           Precision{"bf16", ComputeType::kBF16, DType::kBF16},
                                           Precision{"f32_over_bf16", ComputeType::kF32, DType::kBF16},
                                           Precision{"f32_over_q8", ComputeType::kF32, DType::kQ8_0},
                                           Precision{"bf16_over_q8", ComputeType::kBF16, DType::kQ8_0}),
                         [](const auto& instance) { return instance.param.name; });

// Distance of all logits of a prompt from those over a cache in f32, relative to their rms.
double distance_from_f32(DType kv) {
  const std::vector<int32_t> ids = prompt_ids(150, 12);
  const auto want = TextRunner(*tiny_text().model, {}).feed(ids),
             got = TextRunner(*tiny_text().model, {.kv = kv}).feed(ids);
  double difference = 0, size = 0;
  for (size_t i = 0; i < want.size(); ++i)
    for (size_t j = 0; j < want[i].size(); ++j)
      difference += std::pow(double{got[i][j]} - want[i][j], 2), size += std::pow(double{want[i][j]}, 2);
  return std::sqrt(difference / size);
}

TEST(TextModel, SmallerCachesStayNear) {
  const double bf16 = distance_from_f32(DType::kBF16), q8 = distance_from_f32(DType::kQ8_0);
  std::printf("distance of logits from an f32 cache: bf16 %.2e, q8 %.2e\n", bf16, q8);
  EXPECT_GT(bf16, 0);
  EXPECT_GT(q8, 0);
  EXPECT_LT(bf16, 8e-3);  // measured: 5.5e-3
  EXPECT_LT(q8, 3e-2);    // measured: 2.0e-2
}

// Counts the multiply-adds of dense products by listening to the table.
int64_t counted = 0;
void (*real_f32)(const PanelMatmul&) = nullptr;
void (*real_bf16)(const PanelMatmul&) = nullptr;
void count_f32(const PanelMatmul& m) {
  __atomic_fetch_add(&counted, m.rows * m.cols * m.outputs, __ATOMIC_RELAXED), real_f32(m);
}
void count_bf16(const PanelMatmul& m) {
  __atomic_fetch_add(&counted, m.rows * m.cols * m.outputs, __ATOMIC_RELAXED), real_bf16(m);
}

TEST(TextModel, TheCutSavesTheMultiplicationsOfTheTail) {
  KernelTable table = best_kernels();
  real_f32 = table.matmul_f32, real_bf16 = table.matmul_bf16;
  table.matmul_f32 = count_f32, table.matmul_bf16 = count_bf16;
  auto count = [&](bool all_logits) {
    counted = 0;
    TextRunner(*tiny_text().model, {.kernels = &table, .all_logits = all_logits}).feed(prompt_ids(64, 6));
    return counted;
  };
  const int64_t whole = count(true), cut = count(false);
  EXPECT_GT(cut, 0);
  EXPECT_LT(cut, whole * 55 / 100);  // 6 of 10 layers and the head of 63 rows fall away
}

// One cache and one context of the tiny model; logits of rows that all want them, or of none.
struct OneSequence {
  explicit OneSequence(int64_t context = 64)
      : pages(make_pool(*tiny_text().model, DType::kF32)), cache(tiny_text().model->make_cache(pages, context)) {}

  std::vector<float> forward(const std::vector<Row>& rows, const std::vector<SequenceCache*>& caches,
                             std::span<const float* const> soft_tokens = {}) {
    int64_t wanted = 0;
    for (const Row& row : rows) wanted += row.wants_logits;
    const int64_t vocab = tiny_text().model->vocab_size();
    std::vector<float> logits(static_cast<size_t>(wanted * vocab));
    tiny_text().model->forward(ctx, {rows, caches, soft_tokens}, {logits.data(), {wanted, vocab}});
    return logits;
  }
  std::vector<float> forward(const std::vector<Row>& rows, std::span<const float* const> soft_tokens = {}) {
    return forward(rows, {cache.get()}, soft_tokens);
  }
  // From the cache's length on; the last one wants logits, if any.
  std::vector<Row> rows_of(const std::vector<int32_t>& ids, bool last_wants = true) const {
    std::vector<Row> rows;
    for (size_t i = 0; i < ids.size(); ++i)
      rows.push_back({.position = static_cast<int32_t>(cache->length() + static_cast<int64_t>(i)),
                      .id = ids[i],
                      .wants_logits = last_wants && i + 1 == ids.size()});
    return rows;
  }

  std::shared_ptr<PagePool> pages;
  std::unique_ptr<SequenceCache> cache;
  ThreadPool pool{2};
  Arena arena;
  Context ctx{.pool = pool, .kernels = best_kernels(), .arena = arena};
};

TEST(TextModel, ABatchWithoutWantedRowsFillsTheCache) {
  const std::vector<int32_t> ids = prompt_ids(33, 8);
  TextRunner want(*tiny_text().model, {});
  want.feed(ids);
  const auto next = want.feed({5})[0];
  OneSequence one;
  EXPECT_TRUE(one.forward(one.rows_of(ids, /*last_wants=*/false)).empty());
  EXPECT_EQ(one.cache->length(), 0);  // the caller commits
  one.cache->commit(33);
  EXPECT_TRUE(same_bits(one.forward(one.rows_of({5})), next));
}

TEST(TextModel, WhatIsNotCommittedIsOverwritten) {
  const std::vector<int32_t> ids = prompt_ids(60, 9);
  TextRunner fresh(*tiny_text().model, {});
  const auto want = fresh.feed(ids);
  OneSequence one;
  const std::vector<int32_t> begin(ids.begin(), ids.begin() + 20), end(ids.begin() + 20, ids.end());
  one.forward(one.rows_of(begin));
  one.cache->commit(20);
  one.forward(one.rows_of(prompt_ids(44, 10)));  // rejected
  EXPECT_TRUE(same_bits(one.forward(one.rows_of(end)), want.back()));
  one.cache->commit(10);  // the rest is rejected
  EXPECT_EQ(one.cache->length(), 30);
  EXPECT_TRUE(same_bits(one.forward(one.rows_of({ids.begin() + 30, ids.end()})), want.back()));
}

TEST(TextModel, AFailedCallLeavesNothing) {
  const std::vector<int32_t> ids = prompt_ids(50, 11);
  const auto want = TextRunner(*tiny_text().model, {}).feed(ids);
  const std::vector<float> nan(static_cast<size_t>(tiny_text().model->config().hidden_size),
                               std::numeric_limits<float>::quiet_NaN());
  const float* const soft_tokens[] = {nan.data()};
  const std::vector<int32_t> begin(ids.begin(), ids.begin() + 10), end(ids.begin() + 10, ids.end());
  OneSequence one(400);
  one.forward(one.rows_of(begin));
  one.cache->commit(10);
  const int64_t bytes = one.cache->bytes();
  int calls = 0, last = 0;
  const std::function<void()> between = [&] {
    if (++calls == last) throw Error(ErrorCode::kCancelled, "enough");
  };
  one.ctx.between = &between;
  // Once per layer, once more for the cut layer, whose rows go on alone.
  const auto layers = static_cast<int>(tiny_text().model->config().num_hidden_layers);
  for (last = 1; last <= layers + 1; ++last) {
    calls = 0;
    std::vector<Row> rows = one.rows_of(prompt_ids(200, 12));
    for (Row& row : rows) row.soft_token = 0;
    EXPECT_THROW(one.forward(rows, soft_tokens), Error);
    EXPECT_EQ(calls, last);
    EXPECT_EQ(one.cache->length(), 10);
    EXPECT_EQ(one.cache->bytes(), bytes);
    EXPECT_THROW(one.cache->commit(1), Error);
  }
  one.ctx.between = nullptr;
  EXPECT_TRUE(same_bits(one.forward(one.rows_of(end)), want.back()));
}

// A batch of which one sequence finds no room: the others get none either.
TEST(TextModel, ABatchThatDoesNotFitLeavesNothing) {
  OneSequence one;
  const auto second = tiny_text().model->make_cache(one.pages, 3);
  std::vector<Row> rows = one.rows_of(prompt_ids(5, 13));
  for (int i = 0; i < 4; ++i) rows.push_back({.sequence = 1, .position = i, .id = 7});
  try {
    one.forward(rows, {one.cache.get(), second.get()});
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kContextFull);
    EXPECT_THAT(e.what(), HasSubstr("4 positions needed, the context has 3"));
  }
  EXPECT_EQ(one.pages->use().pages, 0);
}

TEST(TextModel, SoftTokensAreVectorsByIndex) {
  const auto hidden = static_cast<size_t>(tiny_text().model->config().hidden_size);
  std::vector<float> a(hidden), b(hidden);
  for (size_t i = 0; i < hidden; ++i) a[i] = std::sin(static_cast<float>(i)), b[i] = std::cos(static_cast<float>(i));
  const float *const ab[] = {a.data(), b.data()}, *const ba[] = {b.data(), a.data()};
  const auto feed = [&](std::vector<int32_t> soft, std::span<const float* const> vectors) {
    return TextRunner(*tiny_text().model, {}).feed({9, 9, 9, 9}, soft, vectors).back();
  };
  const std::vector<float> want = feed({-1, 0, 1, -1}, ab);
  EXPECT_TRUE(same_bits(feed({-1, 1, 0, -1}, ba), want));
  EXPECT_FALSE(same_bits(feed({-1, 0, 1, -1}, ba), want));
  EXPECT_FALSE(same_bits(feed({-1, -1, -1, -1}, ab), want));
}

std::string forward_error(const std::vector<Row>& rows, int64_t context = 64) {
  OneSequence one(context);
  try {
    one.forward(rows);
  } catch (const Error& e) {
    EXPECT_EQ(one.cache->length(), 0);
    EXPECT_EQ(one.pages->use().pages, 0);
    return e.what();
  }
  return "";
}

TEST(TextModel, RowsThatDoNotFitAreErrors) {
  EXPECT_THAT(forward_error({{.position = 0, .id = 768, .wants_logits = true}}),
              HasSubstr("token id 768 is outside the vocabulary of 768"));
  EXPECT_THAT(forward_error({{.position = 0, .id = -1, .wants_logits = true}}), HasSubstr("token id -1"));
  EXPECT_THAT(forward_error({{.position = 1, .id = 5, .wants_logits = true}}), HasSubstr("expected position 0, got 1"));
  EXPECT_THAT(forward_error({{.sequence = 3, .id = 5, .wants_logits = true}}), HasSubstr("no sequence 3"));
  EXPECT_THAT(forward_error({{.position = 0, .id = 5, .soft_token = 0, .wants_logits = true}}),
              HasSubstr("soft token 0 of 0"));
  std::vector<Row> nine;
  for (int i = 0; i < 9; ++i) nine.push_back({.position = i, .id = 5, .wants_logits = true});
  EXPECT_EQ(forward_error(nine), "");
  EXPECT_THAT(forward_error(nine, 4), HasSubstr("9 positions needed, the context has 4"));
}

TEST(TextModel, CachesThatAreNotItsOwnAreErrors) {
  OneSequence one;
  const auto error = [&](const std::vector<Row>& rows, const std::vector<SequenceCache*>& caches) -> std::string {
    const float* const nothing[] = {nullptr};
    try {
      one.forward(rows, caches, nothing);
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::kInvalidArgument);
      return e.what();
    }
    return "";
  };
  const TextModel other(tiny_text().model->config());
  const auto foreign = other.make_cache(one.pages, 64);
  EXPECT_THAT(error(one.rows_of({5}), {foreign.get()}), HasSubstr("another model's"));
  EXPECT_THAT(error(one.rows_of({5}), {nullptr}), HasSubstr("got none"));
  EXPECT_THAT(error({{.sequence = 0, .id = 5}, {.sequence = 1, .id = 6}}, {one.cache.get(), one.cache.get()}),
              HasSubstr("row 1 of the batch: the cache of sequence 1 is another sequence's, too"));
  EXPECT_THAT(error({{.id = 5, .soft_token = 0}}, {one.cache.get()}), HasSubstr("soft token 0 is null"));
}

// Magnitude matching with a floor: embeddings of rms 2e-4 meet it (text.md 14).
TEST(TextModel, MagnitudeFloorHolds) {
  ThreadPool pool(1);
  Arena arena;
  Context ctx{.pool = pool, .kernels = best_kernels(), .arena = arena};
  std::vector<float> x(64), target(64), out(64);
  for (int i = 0; i < 64; ++i) x[i] = (i % 2 ? 2e-4f : -2e-4f), target[i] = 0.5f;
  match_magnitude(ctx, {x.data(), {1, 64}}, {target.data(), {1, 64}}, 1e-5f, {out.data(), {1, 64}});
  EXPECT_NEAR(out[1], 2e-4 * 0.5 / std::sqrt(1e-5), 1e-6);
}

}  // namespace
}  // namespace g3n::testing
