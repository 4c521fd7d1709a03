// Engine::score, and the scores of a prompt: equal to transformers', each prefix computed once, no row kept.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <fstream>
#include <set>
#include <thread>

#include <nlohmann/json.hpp>

#include "golden/demo.h"
#include "runtime/engine_impl.h"
#include "support/fake_model.h"
#include "support/source_path.h"

namespace g3n::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Ids = std::vector<std::int32_t>;
constexpr double kTolerance = 1e-4;  // of the goldens

template <typename F>
Error thrown_by(F f) {
  try {
    f();
  } catch (const Error& e) {
    return e;
  }
  return {ErrorCode::kInternal, "no error"};
}

nlohmann::json goldens() {
  std::ifstream file(source_path("tests/golden/data/python/scores.json"));
  nlohmann::json root = nlohmann::json::parse(file);
  root.erase("largest_f32_error");
  return root;
}

PreparedPrompt prompt_of(Engine& engine, const nlohmann::json& entry) {
  if (entry.at("prefix").is_string()) return engine.prepare(RawPrompt{entry.at("prefix"), {}});
  return engine.prepare(ChatPrompt{read_messages(entry.at("prefix").dump())});
}

TEST(Score, EqualsTransformers) {
  const auto engine = demo_engine();
  const nlohmann::json all = goldens();
  for (const auto& [name, entry] : all.items()) {
    const PreparedPrompt prefix = prompt_of(*engine, entry);
    ASSERT_EQ(prefix.ids, entry.at("ids").get<Ids>()) << name;
    std::vector<Ids> texts;
    for (const auto& c : entry.at("continuations")) texts.push_back(c.at("ids"));
    const std::vector<Score> scores = engine->score(prefix, texts, 5);
    ASSERT_EQ(scores.size(), texts.size());
    for (size_t c = 0; c < texts.size(); ++c) {
      const nlohmann::json& want = entry.at("continuations")[c];
      ASSERT_EQ(scores[c].tokens.size(), texts[c].size());
      double total = 0;
      for (size_t i = 0; i < texts[c].size(); ++i) {
        const TokenLogprob& got = scores[c].tokens[i];
        SCOPED_TRACE(name + ", continuation " + std::to_string(c) + ", token " + std::to_string(i));
        EXPECT_EQ(got.id, texts[c][i]);
        EXPECT_NEAR(got.logprob, want.at("logprobs")[i].get<double>(), kTolerance);
        EXPECT_EQ(got.is_likeliest, want.at("is_argmax")[i].get<bool>());
        ASSERT_EQ(got.top.size(), 5u);
        for (size_t k = 0; k < 5; ++k) {
          EXPECT_EQ(got.top[k].first, want.at("top_ids")[i][k].get<std::int32_t>());
          EXPECT_NEAR(got.top[k].second, want.at("top")[i][k].get<double>(), kTolerance);
        }
        total += got.logprob;
      }
      EXPECT_EQ(scores[c].total, total);
    }
  }
}

TEST(Score, AContinuationScoresTheSameAloneAndInAnyChunk) {
  const auto entry = goldens().at("text_past_the_window");
  std::vector<Ids> texts;
  for (const auto& c : entry.at("continuations")) texts.push_back(c.at("ids"));
  const auto engine = demo_engine();
  const PreparedPrompt prefix = prompt_of(*engine, entry);
  const std::vector<Score> together = engine->score(prefix, texts);
  for (size_t i = 0; i < texts.size(); ++i) {
    for (const std::int64_t chunk : {512, 7}) {
      const Score alone = demo_engine(chunk)->score(prefix, std::span(&texts[i], 1))[0];
      EXPECT_EQ(alone.total, together[i].total) << i;
      EXPECT_TRUE(alone.tokens[0].top.empty());
    }
  }
}

TEST(Score, TheScoresOfAPromptAreThoseOfItsText) {
  const auto engine = demo_engine();
  for (const char* name : {"bos_only", "text"}) {
    const auto entry = goldens().at(name);
    const Ids prefix = entry.at("ids"), text = entry.at("continuations")[0].at("ids");
    Ids whole = prefix;
    whole.insert(whole.end(), text.begin(), text.end());
    for (const std::int64_t max_tokens : {0, 1}) {
      const Answer answer = engine->generate({.prompt = IdsPrompt{whole, {}},
                                              .options = {.sampling = {.temperature = 0},
                                                          .max_tokens = max_tokens,
                                                          .ignore_stop_ids = true,
                                                          .logprobs = 2,
                                                          .prompt_logprobs = 2}});
      EXPECT_EQ(answer.ids.size(), static_cast<size_t>(max_tokens));
      ASSERT_EQ(answer.prompt_logprobs.size(), whole.size() - 1);
      const Score score = engine->score(engine->prepare(IdsPrompt{prefix, {}}), std::span(&text, 1), 2).front();
      for (size_t i = 0; i < text.size(); ++i) {
        const TokenLogprob& got = answer.prompt_logprobs[prefix.size() - 1 + i];
        EXPECT_EQ(got.id, text[i]);
        EXPECT_EQ(got.logprob, score.tokens[i].logprob);
        EXPECT_EQ(got.is_likeliest, score.tokens[i].is_likeliest);
        EXPECT_EQ(got.top, score.tokens[i].top);
      }
      if (max_tokens == 1) {
        EXPECT_TRUE(answer.logprobs[0].is_likeliest);
      }
    }
  }
}

// An engine over a fake model, of which it is known what was run.
struct Fake {
  explicit Fake(FakeModelOptions options = {}, EngineOptions engine_options = {}) {
    options.vocab_size = 300;
    auto model = std::make_unique<FakeModel>(options);
    log = model->log();
    engine_options.model = demo_folder();
    engine = EngineAccess::open_over(std::move(model), engine_options);
  }
  // No cache is left; the engine's thread lets go of a job a moment after its end.
  bool is_empty() const {
    for (int i = 0; i < 1000 && log->caches > 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return log->caches == 0 && log->open_positions == 0;
  }
  std::shared_ptr<FakeModel::Log> log;
  std::shared_ptr<Engine> engine;
};

PreparedPrompt prompt_of(std::int64_t tokens, std::int32_t id = 5) {
  PreparedPrompt prompt;
  prompt.ids.assign(static_cast<size_t>(tokens), id);
  prompt.token_types.assign(prompt.ids.size(), 0);
  return prompt;
}

TEST(Score, ThePrefixIsComputedOnceAndItsRowsEndEarly) {
  Fake fake({.script = {1, 2, 3}});
  const std::vector<Ids> texts(20, Ids{7, 8, 9, 10, 11});
  const std::vector<Score> scores = fake.engine->score(prompt_of(200), texts);
  EXPECT_EQ(scores.size(), 20u);
  std::int64_t rows = 0, wanted = 0;
  for (const FakeStep& step : fake.log->seen()) {
    rows += static_cast<std::int64_t>(step.rows.size());
    for (const Row& row : step.rows) wanted += row.wants_logits;
    EXPECT_LE(std::set<std::int32_t>(step.first_ids.begin(), step.first_ids.end()).size(), 1u);
  }
  EXPECT_EQ(rows, 200 + 20 * 4);
  EXPECT_EQ(wanted, 1 + 20 * 4);
  EXPECT_TRUE(fake.is_empty());
}

TEST(Score, OneTokenCostsNothingBesideThePrefix) {
  Fake fake({.script = {1, 2, 3}});
  const std::vector<Score> scores =
      fake.engine->score(prompt_of(100), std::vector<Ids>{{1}, {2}, {3}, {2}});  // behind position 99: 100 % 3
  EXPECT_EQ(fake.log->seen().size(), 1u);
  EXPECT_FALSE(scores[0].tokens[0].is_likeliest);
  EXPECT_TRUE(scores[1].tokens[0].is_likeliest);
  EXPECT_EQ(scores[1].total, scores[3].total);
  EXPECT_NEAR(scores[0].total, -20 - std::log1p(299 * std::exp(-20.0)), 1e-6);
}

TEST(Score, RefusesWhatCannotBe) {
  Fake fake({}, {.context = 50});
  const auto code_of = [&](std::int64_t tokens, const Ids& text, const char* what, int top = 0) {
    const Error error = thrown_by([&] { fake.engine->score(prompt_of(tokens), std::vector<Ids>{{1}, text}, top); });
    EXPECT_THAT(error.what(), HasSubstr(what));
    return error.code();
  };
  EXPECT_EQ(code_of(10, {}, "continuation 1: expected at least one token"), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of(10, {1, 300}, "0..299, got 300"), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of(10, {-1}, "got -1"), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of(49, {1, 2, 3}, "have 52 tokens, the context has room for 50"), ErrorCode::kContextFull);
  EXPECT_EQ(code_of(51, {1}, "51 tokens"), ErrorCode::kContextFull);
  EXPECT_EQ(code_of(0, {1}, "empty"), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of(10, {1}, "0..20, got 21", 21), ErrorCode::kInvalidArgument);
  EXPECT_TRUE(fake.log->seen().empty());
  EXPECT_EQ(fake.engine->score(prompt_of(49), std::vector<Ids>{{1, 2}}).size(), 1u);
  EXPECT_TRUE(fake.engine->score(prompt_of(5), {}).empty());

  const auto engine = demo_engine();
  const PreparedPrompt picture = engine->prepare(ChatPrompt{conversation("caption").messages});
  const std::int32_t soft = picture.ids[static_cast<size_t>(picture.soft[0].first)];
  EXPECT_THAT(thrown_by([&] { engine->score(prompt_of(3), std::vector<Ids>{{soft}}); }).what(),
              HasSubstr("media belong into the prompt"));
}

TEST(Score, LogitsThatAreNoNumbersEndIt) {
  Fake fake({.nan_after_id = 8});
  const std::vector<Ids> texts{{7, 9}, {7, 8, 9}, {6, 5, 4}};
  const Error error = thrown_by([&] { fake.engine->score(prompt_of(10), texts); });
  EXPECT_EQ(error.code(), ErrorCode::kBadFile);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("position 11"), HasSubstr("nan at id 0")));
  EXPECT_TRUE(fake.is_empty());
  EXPECT_EQ(thrown_by([&] {
              fake.engine->generate({.prompt = IdsPrompt{{5, 8, 5}, {}}, .options = {.prompt_logprobs = 0}});
            }).code(),
            ErrorCode::kBadFile);
}

// Once, between the last of the prompt and the first token; with chunks, too.
TEST(Score, APromptsLogprobsAreAnEvent) {
  struct Recorder : EventSink {
    void on_prefill(std::int64_t done, std::int64_t total) override { is_read = done == total; }
    void on_prompt_logprobs(std::span<const TokenLogprob> tokens) override {
      EXPECT_TRUE(is_read);
      EXPECT_EQ(generated, 0);
      ++calls;
      for (const TokenLogprob& token : tokens) told.push_back({token.id, token.logprob});
    }
    void on_token(std::int32_t) override { ++generated; }
    bool is_read = false;
    int calls = 0, generated = 0;
    std::vector<std::pair<std::int32_t, float>> told;
  };
  Fake fake({.script = {7, 9}});
  Recorder recorder;
  const Answer answer = fake.engine->generate(
      {.prompt = IdsPrompt{Ids(200, 5), {}}, .options = {.max_tokens = 3, .prompt_logprobs = 0}}, &recorder);
  EXPECT_EQ(recorder.calls, 1);
  EXPECT_EQ(recorder.generated, 3);
  ASSERT_EQ(recorder.told.size(), 199u);
  for (std::size_t i = 0; i < recorder.told.size(); ++i)
    EXPECT_EQ(recorder.told[i], std::pair(answer.prompt_logprobs[i].id, answer.prompt_logprobs[i].logprob)) << i;
}

TEST(Score, ACancelEndsItAnywhere) {
  std::atomic<bool> cancelled = false;
  for (const std::int64_t at : {0, 2}) {
    cancelled = false;
    Fake fake({.step_seconds = 0.002, .on_step = [&](std::int64_t step, const Batch&) { cancelled = step >= at; }});
    const std::vector<Ids> texts(100, Ids{7, 8, 9, 10, 11});
    EXPECT_EQ(thrown_by([&] { fake.engine->score(prompt_of(10), texts, 0, &cancelled); }).code(),
              ErrorCode::kCancelled);
    EXPECT_TRUE(fake.is_empty());
    EXPECT_EQ(fake.engine->stats().running, 0);
  }
}

TEST(Score, TwentyShortContinuationsCostLessThanTheirPrefix) {
  const auto engine = demo_engine();
  const PreparedPrompt prefix = prompt_of(2000, 439);
  const auto seconds = [&](const std::vector<Ids>& texts) {
    double best = 1e9;
    for (int i = 0; i < 3; ++i) {
      const auto start = std::chrono::steady_clock::now();
      engine->score(prefix, texts);
      best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    return best;
  };
  const double alone = seconds({{439}}), twenty = seconds(std::vector<Ids>(20, Ids{439, 673, 427, 448, 500}));
  std::printf("prefix %.3f s, with twenty continuations %.3f s\n", alone, twenty);
  EXPECT_LE(twenty, 2 * alone);
}

}  // namespace
}  // namespace g3n::testing
