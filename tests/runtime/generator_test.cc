// The decode loop over a scripted model: stops, lengths, cancellation, context, chunks.
#include "runtime/generator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/table.h"
#include "runtime/fake_model.h"

namespace g3n {
namespace {

struct Sink : EventSink {
  void on_prefill(std::int64_t done, std::int64_t total) override { prefill.emplace_back(done, total); }
  void on_token(std::int32_t id) override {
    ids.push_back(id);
    if (cancel && ids.size() == cancel_after) cancel->store(true);
  }
  std::vector<std::pair<std::int64_t, std::int64_t>> prefill;
  std::vector<std::int32_t> ids;
  std::atomic<bool>* cancel = nullptr;
  size_t cancel_after = 0;
};

struct Run {
  int64_t prompt_tokens = 5, max_tokens = -1, context = 100, chunk = 512;
  std::vector<int32_t> stop_ids = {9};
  std::vector<std::string> stop = {};
};

Answer run(const Run& r, Sink* sink = nullptr, const std::atomic<bool>* cancelled = nullptr) {
  Machine machine(1, best_kernels(), ComputeType::kF32);
  const FakeModel model(16, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9});  // position p is followed by id p % 10
  auto cache = model.make_cache(r.context, r.chunk, DType::kF32);
  PreparedPrompt prompt;
  prompt.ids.assign(r.prompt_tokens, 1);
  return generate_answer(machine, model, nullptr, *cache,
                         {.prompt = prompt,
                          .sampling = {.temperature = 0},
                          .max_tokens = r.max_tokens,
                          .stop = r.stop,
                          .stop_ids = r.stop_ids,
                          .cancelled = cancelled,
                          .chunk = r.chunk},
                         sink);
}

TEST(Generator, StopsAtAStopId) {
  const Answer a = run({});
  EXPECT_EQ(a.ids, (std::vector<int32_t>{5, 6, 7, 8, 9}));
  EXPECT_EQ(a.finish_reason, FinishReason::kStop);
  EXPECT_EQ(a.prompt_tokens, 5);
}

TEST(Generator, StopsAtTheLength) {
  EXPECT_EQ(run({.max_tokens = 2}).ids, (std::vector<int32_t>{5, 6}));
  EXPECT_EQ(run({.max_tokens = 2}).finish_reason, FinishReason::kLength);
  EXPECT_EQ(run({.max_tokens = 5}).finish_reason, FinishReason::kStop);
  EXPECT_TRUE(run({.max_tokens = 0}).ids.empty());
}

TEST(Generator, StopsWhenTheContextIsFull) {
  const Answer a = run({.context = 7, .stop_ids = {15}});
  EXPECT_EQ(a.ids, (std::vector<int32_t>{5, 6, 7}));  // the last one is chosen but has no place
  EXPECT_EQ(a.finish_reason, FinishReason::kLength);
}

TEST(Generator, APromptLongerThanTheContextNamesBothNumbers) {
  try {
    run({.prompt_tokens = 8, .context = 7});
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kContextFull);
    EXPECT_THAT(e.what(), ::testing::AllOf(::testing::HasSubstr("8 tokens"), ::testing::HasSubstr("room for 7")));
  }
}

TEST(Generator, PrefillComesInChunks) {
  Sink sink;
  EXPECT_EQ(run({.prompt_tokens = 5, .chunk = 2}, &sink).ids, (std::vector<int32_t>{5, 6, 7, 8, 9}));
  EXPECT_EQ(sink.prefill, (std::vector<std::pair<std::int64_t, std::int64_t>>{{2, 5}, {4, 5}, {5, 5}}));
}

TEST(Generator, CancelledInTheAnswerKeepsWhatIsThere) {
  std::atomic<bool> cancelled{false};
  Sink sink;
  sink.cancel = &cancelled;
  sink.cancel_after = 2;
  const Answer a = run({.stop_ids = {15}}, &sink, &cancelled);
  EXPECT_EQ(a.ids, (std::vector<int32_t>{5, 6}));
  EXPECT_EQ(a.finish_reason, FinishReason::kCancelled);
}

TEST(Generator, CancelledInThePromptThrows) {
  const std::atomic<bool> cancelled{true};
  try {
    run({}, nullptr, &cancelled);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kCancelled);
  }
}

TEST(Generator, AnEmptyPromptAndStopStringsWithoutATokenizerAreErrors) {
  EXPECT_THROW(run({.prompt_tokens = 0}), Error);
  EXPECT_THROW(run({.stop = {"x"}}), Error);
}

}  // namespace
}  // namespace g3n
