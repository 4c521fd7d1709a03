// Conversations with the demo checkpoint: ids of the prompt and every greedy token as transformers has them.
#include <gtest/gtest.h>

#include "g3n/convert.h"
#include "g3n/session.h"
#include "golden/demo.h"
#include "support/errors.h"
#include "tools/gguf_maker.h"
#include "tools/mmproj_maker.h"

namespace g3n::testing {
namespace {

Sampling greedy() {
  Sampling sampling;
  sampling.temperature = 0;
  return sampling;
}

constexpr std::int64_t kMostTokens = 48;  // of the recording

TEST(DemoConversations, PromptIdsAreThoseOfTransformers) {
  ASSERT_GE(conversations().size(), 15u);
  for (const Conversation& c : conversations())
    EXPECT_EQ(demo_engine()->tokenize(ChatPrompt{c.messages}), c.ids) << c.name;
}

class DemoChunks : public ::testing::TestWithParam<int> {};

TEST_P(DemoChunks, GreedyAnswersAreThoseOfTransformers) {
  for (const Conversation& c : conversations()) {
    const Answer answer = demo_engine(GetParam())
                              ->generate({.prompt = ChatPrompt{c.messages},
                                          .options = {.sampling = greedy(), .max_tokens = kMostTokens}});
    EXPECT_EQ(answer.ids, c.greedy_ids) << c.name << ": " << answer.text << " | " << c.text;
    EXPECT_EQ(answer.text, c.text) << c.name;
    EXPECT_EQ(answer.prompt_tokens, static_cast<std::int64_t>(c.ids.size())) << c.name;
  }
}
INSTANTIATE_TEST_SUITE_P(Golden, DemoChunks, ::testing::Values(7, 64, 512));
INSTANTIATE_TEST_SUITE_P(GoldenSlow, DemoChunks, ::testing::Values(1));

// A session feeds only what is new, and its answers are those of the whole prompt.
TEST(DemoConversations, ASessionContinuesAsTheWholePromptWould) {
  for (const char* name : {"two_turns", "image_then_question"}) {
    const Conversation& c = conversation(name);
    ASSERT_EQ(c.messages.size(), 3u);
    Session session(demo_engine());
    const Answer first = session.reply(c.messages[0].parts, {.sampling = greedy()});
    const Answer second = session.reply(c.messages[2].parts, {.sampling = greedy()});
    EXPECT_LT(second.timings.prefilled_tokens, 30) << name;
    // What transformers would have been given: the model's own first answer.
    std::vector<Message> whole{c.messages[0], Message::text("assistant", first.text), c.messages[2]};
    const Answer want = demo_engine()->generate({.prompt = ChatPrompt{whole}, .options = {.sampling = greedy()}});
    EXPECT_EQ(second.ids, want.ids) << name;
    EXPECT_EQ(second.prompt_tokens, want.prompt_tokens) << name;
  }
}

std::vector<float> last_logits(Engine& engine, const Conversation& c) {
  const PreparedPrompt prompt = engine.prepare(ChatPrompt{c.messages});
  std::vector<float> last;
  const std::vector<std::int64_t> position = {static_cast<std::int64_t>(c.ids.size()) - 1};
  engine.logits(prompt, position,
                [&last](std::int64_t, std::span<const float> row) { last.assign(row.begin(), row.end()); });
  return last;
}

// The demo as people have models: a text file and its mmproj file. The golden is the folder's.
class DemoGguf : public ::testing::TestWithParam<DType> {};

TEST_P(DemoGguf, AnswersAreThoseOfTransformers) {
  const TemporaryFolder folder;
  ThreadPool pool(2);
  const std::string text = folder / "demo.gguf", towers = folder / "mmproj-demo.gguf", bundle = folder / "demo.g3n";
  write_text_gguf(pool, open_checkpoint(demo_folder()), text, GetParam());
  write_mmproj(pool, open_checkpoint(demo_folder()), towers, {.type = GetParam()});
  EngineOptions options;
  options.model = text;
  options.mmproj = "auto";
  options.threads = 2;
  const auto engine = Engine::open(options);
  for (const Conversation& c : conversations()) {
    EXPECT_EQ(engine->tokenize(ChatPrompt{c.messages}), c.ids) << c.name;
    const Answer answer = engine->generate(
        {.prompt = ChatPrompt{c.messages}, .options = {.sampling = greedy(), .max_tokens = kMostTokens}});
    EXPECT_EQ(answer.ids, c.greedy_ids) << c.name << ": " << answer.text << " | " << c.text;
    EXPECT_EQ(answer.text, c.text) << c.name;
  }
  // Both files as one bundle give the same bits.
  convert_model({.model = text, .mmproj = towers, .out = bundle, .recipe = "keep", .threads = 2});
  options.model = bundle;
  options.mmproj = "";
  const auto packed = Engine::open(options);
  for (const char* name : {"spoken_question", "caption", "two_turns"})
    EXPECT_EQ(last_logits(*packed, conversation(name)), last_logits(*engine, conversation(name))) << name;
}
INSTANTIATE_TEST_SUITE_P(Golden, DemoGguf, ::testing::Values(DType::kF32, DType::kBF16, DType::kF16),
                         [](const auto& instance) { return std::string(dtype_name(instance.param)); });

}  // namespace
}  // namespace g3n::testing
