// The whole path at the real E2B and E4B shapes on a random checkpoint folder: text, and one prompt with an image and a
// sound, prefill and decode, in float32. Run by tools/test_full.sh, which writes the checkpoints (G3N_FULL_CHECKPOINTS,
// default build/full) and removes them.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "golden/full_text.h"
#include "runtime/engine_impl.h"
#include "support/inputs.h"
#include "support/source_path.h"

namespace g3n::testing {
namespace {

std::string checkpoint_folder(const std::string& size) {
  const char* given = std::getenv("G3N_FULL_CHECKPOINTS");
  return (given ? std::string(given) : source_path("build/full")) + "/" + size;
}

// One loaded model at a time: two do not fit.
Engine::Impl& engine_of(const std::string& size) {
  static std::shared_ptr<Engine> engine;
  static std::string loaded;
  if (!engine || loaded != size) {
    engine.reset();
    EngineOptions options;
    options.model = checkpoint_folder(size);
    options.threads = 2;
    options.image_size = 256;
    engine = Engine::open(options);
    loaded = size;
  }
  return EngineAccess::of(*engine);
}

// Which rows of the prompt want logits: all (no row is cut), or the last one (all others stop inside the last layer
// that owns K and V).
enum class Wanted { kAll, kLast };

class FullText : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(checkpoint_folder(GetParam())))
      GTEST_SKIP() << checkpoint_folder(GetParam()) << " is not there: tools/test_full.sh makes it";
  }

  // The golden's prompt; its soft tokens are compared on the way.
  IdsPrompt prompt_of(Engine::Impl& engine, FullTextCase& golden) {
    IdsPrompt prompt{golden.ids(), {}};
    if (!golden.has_media()) return prompt;
    prompt.media = {ImagePart{Pixels{256, 256, golden_image(256, 1)}}, AudioPart{Samples{golden_samples(48000, 1)}}};
    JobSetup setup;
    setup.plan = [&] { return engine.builder->plan(prompt); };
    setup.wants_prompt_only = true;
    const std::shared_ptr<Job> job = engine.running().submit(std::move(setup));
    job->answer();
    for (const SoftSpan& span : job->prompt()->soft) {
      const char* tap = span.tokens->rows == 256 ? "vision.soft_tokens" : "audio.soft_tokens";
      if (span.tokens->rows > 1) {
        EXPECT_EQ(golden.compare_medium(tap, span.tokens->values), "");
      }
    }
    return prompt;
  }

  // Prefill in chunks, then the recorded tokens one by one; every step compared.
  void expect_case(const std::string& name, Wanted wanted, int64_t chunk) {
    Engine::Impl& engine = engine_of(GetParam());
    FullTextCase golden(GetParam(), name);
    IdsPrompt prompt = prompt_of(engine, golden);
    FullTextSink sink;
    std::vector<float> logits;
    Scheduler scheduler(*engine.model, {.context = engine.context, .chunk = chunk, .idle_kv_bytes = INT64_MAX});
    for (int64_t step = 0; step < golden.steps(); ++step) {
      if (step > 0) prompt.ids.push_back(golden.greedy_ids()[static_cast<size_t>(step - 1)]);
      sink.clear();
      const int64_t last = static_cast<int64_t>(prompt.ids.size()) - 1;
      JobSetup setup;
      setup.plan = [&] { return engine.builder->plan(prompt); };
      setup.wants_answer = false;
      setup.logits = WantedLogits{.first = wanted == Wanted::kAll ? 0 : last,
                                  .most_rows = chunk,
                                  .on_rows = [&](int64_t, View<const float, 2> rows) {
                                    const float* row = rows.row(rows.dim[0] - 1);
                                    logits.assign(row, row + rows.dim[1]);
                                  }};
      setup.taps = &sink;
      const std::shared_ptr<Job> job = scheduler.submit(std::move(setup));
      job->answer();
      const bool whole = wanted == Wanted::kAll || step > 0;
      ASSERT_EQ(golden.compare(step, sink, logits, name == "text_12" && step == 0 && whole, whole), "");
    }
    std::printf("%s/%s, %s, chunks of %d: %d steps, %s\n", GetParam().c_str(), name.c_str(),
                wanted == Wanted::kAll ? "every row wanted" : "last row wanted", static_cast<int>(chunk),
                static_cast<int>(golden.steps()), golden.worst().c_str());
  }
};

TEST_P(FullText, TwelveIds) { expect_case("text_12", Wanted::kAll, 512); }
TEST_P(FullText, TwelveIdsCutInChunksOfFive) { expect_case("text_12", Wanted::kLast, 5); }
TEST_P(FullText, SixHundredIds) { expect_case("text_600", Wanted::kAll, 600); }
TEST_P(FullText, SixHundredIdsCutInChunks) { expect_case("text_600", Wanted::kLast, 256); }
TEST_P(FullText, ImageAndSound) { expect_case("mixed", Wanted::kAll, 560); }
TEST_P(FullText, ImageAndSoundCutInChunks) { expect_case("mixed", Wanted::kLast, 512); }

INSTANTIATE_TEST_SUITE_P(Golden, FullText, ::testing::Values("e2b", "e4b"),
                         [](const auto& size) { return size.param; });

}  // namespace
}  // namespace g3n::testing
