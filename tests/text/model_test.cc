// What the decoder promises about bits: threads, batches, chunks and the cut change none (design 3.8); and its errors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstring>

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

TEST(TextModel, ABatchWithoutWantedRowsFillsTheCache) {
  const std::vector<int32_t> ids = prompt_ids(33, 8);
  TextRunner want(*tiny_text().model, {});
  want.feed(ids);
  const auto next = want.feed({5})[0];
  const TextModel& model = *tiny_text().model;
  auto cache = model.make_cache(64, 64, DType::kF32);
  SequenceCache* const caches[] = {cache.get()};
  ThreadPool pool(2);
  Arena arena;
  Context ctx{.pool = pool, .kernels = best_kernels(), .arena = arena};
  std::vector<Row> rows;
  for (size_t i = 0; i < ids.size(); ++i)
    rows.push_back({.sequence = 0, .position = static_cast<int32_t>(i), .id = ids[i]});
  model.forward(ctx, {rows, caches, {}}, {nullptr, {0, model.vocab_size()}});
  EXPECT_EQ(cache->length(), 33);
  std::vector<float> logits(model.vocab_size());
  const Row last{.sequence = 0, .position = 33, .id = 5, .wants_logits = true};
  model.forward(ctx, {{&last, 1}, caches, {}}, {logits.data(), {1, model.vocab_size()}});
  EXPECT_TRUE(same_bits(logits, next));
}

std::string error_of(const std::vector<Row>& rows, int64_t context = 64) {
  const TextModel& model = *tiny_text().model;
  auto cache = model.make_cache(context, 8, DType::kF32);
  SequenceCache* const caches[] = {cache.get()};
  ThreadPool pool(1);
  Arena arena;
  Context ctx{.pool = pool, .kernels = best_kernels(), .arena = arena};
  std::vector<float> logits(rows.size() * model.vocab_size());
  try {
    model.forward(ctx, {rows, caches, {}}, {logits.data(), {static_cast<int64_t>(rows.size()), model.vocab_size()}});
  } catch (const Error& e) {
    EXPECT_EQ(cache->length(), 0);
    return e.what();
  }
  return "";
}

TEST(TextModel, RowsThatDoNotFitAreErrors) {
  EXPECT_THAT(error_of({{.position = 0, .id = 768, .wants_logits = true}}),
              HasSubstr("token id 768 is outside the vocabulary of 768"));
  EXPECT_THAT(error_of({{.position = 0, .id = -1, .wants_logits = true}}), HasSubstr("token id -1"));
  EXPECT_THAT(error_of({{.position = 1, .id = 5, .wants_logits = true}}), HasSubstr("expected position 0, got 1"));
  EXPECT_THAT(error_of({{.sequence = 3, .id = 5, .wants_logits = true}}), HasSubstr("no sequence 3"));
  EXPECT_THAT(error_of({{.position = 0, .id = 5, .soft_token = 0, .wants_logits = true}}),
              HasSubstr("soft token 0 of 0"));
  std::vector<Row> nine;
  for (int i = 0; i < 9; ++i) nine.push_back({.position = i, .id = 5, .wants_logits = true});
  EXPECT_THAT(error_of(nine), HasSubstr("chunks of 8"));
  EXPECT_THAT(error_of({nine.begin(), nine.begin() + 8}, 4), HasSubstr("8 positions needed, the context has 4"));
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
