// The demo checkpoint in q8 and q4, and with narrower KV caches: its answers beside those of transformers in f32, and
// bits that no choice but the recipe changes.
#include <gtest/gtest.h>

#include "golden/demo.h"

namespace g3n::testing {
namespace {

std::shared_ptr<Engine> quantized(const std::string& recipe, std::int64_t chunk = 512, int threads = 2) {
  EngineOptions options;
  options.model = demo_folder();
  options.quantize = recipe;
  options.chunk = chunk;
  options.threads = threads;
  return Engine::open(options);
}

// An answer is decided where the likeliest token leads by more than this: a smaller lead (unseen_words: 0.025) is
// within what int8 activations move.
constexpr double kDecided = 0.1;  // logits

// How many conversations end as transformers' do, among those that are decided and among all.
struct Same {
  size_t decided = 0, of_decided = 0, all = 0;
};
Same same_answers(Engine& engine) {
  Same same;
  Sampling greedy;
  greedy.temperature = 0;
  for (const Conversation& c : conversations()) {
    const Answer answer =
        engine.generate({.prompt = ChatPrompt{c.messages}, .options = {.sampling = greedy, .max_tokens = 48}});
    const bool equal = answer.ids == c.greedy_ids, decided = c.smallest_top1_margin > kDecided;
    same.all += equal, same.of_decided += decided, same.decided += equal && decided;
    if (!equal)
      std::printf("%s: %s | %s (margin %.3f)\n", c.name.c_str(), answer.text.c_str(), c.text.c_str(),
                  c.smallest_top1_margin);
  }
  return same;
}

TEST(Quantized, Q8AnswersAsF32Does) {
  const Same same = same_answers(*quantized("q8"));
  EXPECT_EQ(same.decided, same.of_decided);
  EXPECT_GE(same.of_decided, 17u);
}
TEST(Quantized, NarrowCachesAnswerAsF32Does) {
  for (const CacheType kv : {CacheType::kBF16, CacheType::kQ8}) {
    EngineOptions options;
    options.model = demo_folder();
    options.kv_cache = kv;
    const Same same = same_answers(*Engine::open(options));
    EXPECT_EQ(same.decided, same.of_decided) << (kv == CacheType::kQ8 ? "q8" : "bf16");
  }
}
TEST(Quantized, Q4AnswersAsF32DoesInFourOfFive) {
  EXPECT_GE(same_answers(*quantized("q4")).all * 5, conversations().size() * 4);
}

// The last row's logits of a long prompt and of one with media: chunks, the cut, sparsity and threads change nothing.
TEST(Quantized, ChunksAndThreadsChangeNoBit) {
  for (const std::string recipe : {"q8", "q4"}) {
    const auto logits = [&](Engine& engine, const Conversation& c) {
      std::vector<float> out;
      const PreparedPrompt prompt = engine.prepare(ChatPrompt{c.messages});
      const std::int64_t last = static_cast<std::int64_t>(prompt.ids.size()) - 1;
      engine.logits(prompt, std::span(&last, 1),
                    [&](std::int64_t, std::span<const float> row) { out.assign(row.begin(), row.end()); });
      return out;
    };
    for (const char* name : {"long_prompt", "spoken_question"}) {
      const std::vector<float> want = logits(*quantized(recipe, 512, 2), conversation(name));
      for (const auto& [chunk, threads] : {std::pair{1, 2}, {7, 2}, {64, 1}, {512, 3}})
        EXPECT_EQ(logits(*quantized(recipe, chunk, threads), conversation(name)), want)
            << recipe << " " << name << " " << chunk;
    }
  }
}

}  // namespace
}  // namespace g3n::testing
