// Diagnostics over models whose logits are known.
#include "g3n/diagnostics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "golden/demo.h"
#include "runtime/engine_impl.h"
#include "support/errors.h"
#include "support/fake_model.h"

namespace g3n::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// The demo's tokenizer before a scripted model.
std::shared_ptr<Engine> fake_engine(FakeModelOptions options, std::shared_ptr<FakeModel::Log>* log = nullptr) {
  options.vocab_size = demo_engine()->info().vocab_size;
  options.hidden_size = demo_engine()->info().hidden_size;
  auto model = std::make_unique<FakeModel>(std::move(options));
  if (log) *log = model->log();
  return EngineAccess::open_over(std::move(model), {.model = demo_folder()});
}

std::string words(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += "seven blue two ring ";
  return text;
}

TEST(CompareNextTokens, GivesTheDivergenceOfTheTwo) {
  const auto a = fake_engine({.script = {5}}), b = fake_engine({.script = {6}});
  const double vocab = static_cast<double>(a->info().vocab_size), z = std::exp(20.0) + vocab - 1;
  const TextComparison far = compare_next_tokens(*a, *b, words(40), {}),
                       same = compare_next_tokens(*a, *a, words(40), {});
  // Only the ids 5 and 6 differ, by 20: KL = 20 (p - q), p their probabilities in the reference.
  EXPECT_NEAR(far.kl_mean, 20 * (std::exp(20.0) - 1) / z, 1e-9);
  EXPECT_NEAR(far.kl_max, far.kl_mean, 1e-9);
  EXPECT_EQ(far.same_likeliest, 0);
  EXPECT_EQ(same.kl_mean, 0);
  EXPECT_EQ(same.same_likeliest, 1);
  EXPECT_EQ(same.perplexity_reference, same.perplexity_candidate);
}

// A position's logits are used up before the next ones are made: no side runs ahead by more than a block.
TEST(CompareNextTokens, TakesTurns) {
  std::shared_ptr<FakeModel::Log> logs[2];
  const auto a = fake_engine({}, &logs[0]);
  int64_t ahead = 0;
  const auto rows_of = [](const FakeModel::Log& log) {
    int64_t rows = 0;
    for (const FakeStep& step : log.seen()) rows += static_cast<int64_t>(step.rows.size());
    return rows;
  };
  FakeModelOptions watching;
  watching.on_step = [&](int64_t, const Batch& batch) {
    ahead = std::max(ahead, rows_of(*logs[0]) - rows_of(*logs[1]));
    EXPECT_LE(batch.rows.size(), 64u);
  };
  const auto c = fake_engine(watching, &logs[1]);
  const TextComparison whole = compare_next_tokens(*a, *c, words(200), {.window = 100000});
  EXPECT_GT(whole.positions, 600);
  EXPECT_EQ(rows_of(*logs[0]), whole.positions);
  EXPECT_EQ(rows_of(*logs[1]), whole.positions);
  EXPECT_LE(ahead, 64);
}

TEST(CompareNextTokens, RefusesLogitsThatAreNoNumbers) {
  const std::vector<std::int32_t> ids = demo_engine()->encode(words(20));
  const auto good = fake_engine({}), bad = fake_engine({.nan_after_id = ids.at(9)});
  EXPECT_THAT(error_of(ErrorCode::kBadFile, [&] { compare_next_tokens(*bad, *good, words(20), {}); }),
              AllOf(HasSubstr("reference"), HasSubstr("finite")));
  EXPECT_THAT(error_of(ErrorCode::kBadFile, [&] { compare_next_tokens(*good, *bad, words(20), {}); }),
              AllOf(HasSubstr("candidate"), HasSubstr("finite")));
}

TEST(CompareNextTokens, AnErrorOfOneSideEndsBoth) {
  FakeModelOptions failing;
  failing.on_step = [](int64_t step, const Batch&) {
    if (step >= 1) throw Error(ErrorCode::kOutOfMemory, "as asked");
  };
  const auto good = fake_engine({}), bad = fake_engine(failing);
  for (const auto& [a, b] : {std::pair{good, bad}, std::pair{bad, good}})
    EXPECT_EQ(error_of(ErrorCode::kOutOfMemory, [&] { compare_next_tokens(*a, *b, words(100), {}); }), "as asked");
  std::atomic<bool> cancelled{true};
  EXPECT_THAT(error_of(ErrorCode::kCancelled,
                       [&] { compare_next_tokens(*good, *good, words(100), {.cancelled = &cancelled}); }),
              HasSubstr("cancelled"));
}

}  // namespace
}  // namespace g3n::testing
