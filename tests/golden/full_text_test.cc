// The whole path at the real E2B and E4B shapes on a random checkpoint folder: text, and one prompt with an image and a
// sound, prefill and decode, in float32. Run by tools/test_full.sh, which writes the checkpoints (G3N_FULL_CHECKPOINTS,
// default build/full) and removes them.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "golden/full_text.h"
#include "kernels/table.h"
#include "model/model.h"
#include "runtime/machine.h"
#include "runtime/prompt_builder.h"
#include "support/inputs.h"

namespace g3n::testing {
namespace {

std::string checkpoint_folder(const std::string& size) {
  const char* given = std::getenv("G3N_FULL_CHECKPOINTS");
  return (given ? std::string(given) : G3N_SOURCE_DIR "/build/full") + "/" + size;
}

// One loaded model at a time: two do not fit.
struct Rig {
  Machine machine{2, best_kernels(), ComputeType::kF32};
  std::string size;
  std::unique_ptr<Gemma3n> model;

  static Rig& of(const std::string& size) {
    static std::unique_ptr<Rig> rig;
    if (!rig || rig->size != size) {
      rig.reset();
      rig = std::make_unique<Rig>();
      rig->size = size;
      rig->model = Gemma3n::load(checkpoint_folder(size), rig->machine.pool(), {});
      rig->model->set_image_size(256);
    }
    return *rig;
  }
};

// Which rows of the prompt want logits: all (no row is cut), or the last one (all others stop inside the last layer
// that owns K and V).
enum class Wanted { kAll, kLast };

class FullText : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(checkpoint_folder(GetParam())))
      GTEST_SKIP() << checkpoint_folder(GetParam()) << " is not there: tools/test_full.sh makes it";
  }

  // The prompt as the runtime prepares it, its soft tokens compared: what the encoders and the side vocabularies put in
  // the places of ids.
  PreparedPrompt prepare(Rig& rig, FullTextCase& golden) {
    IdsPrompt prompt{golden.ids(), {}, {}};
    if (golden.has_media()) {
      SoftTokens image, audio;
      rig.machine.run(nullptr, [&](Context& ctx) {
        image = rig.model->encode_image(ctx, {Pixels{256, 256, golden_image(256, 1)}});
      });
      rig.machine.run(nullptr,
                      [&](Context& ctx) { audio = rig.model->encode_audio(ctx, {Samples{golden_samples(48000, 1)}}); });
      EXPECT_EQ(golden.compare_medium("vision.soft_tokens", image.values), "");
      EXPECT_EQ(golden.compare_medium("audio.soft_tokens", audio.values), "");
      prompt.images = {{image}};
      prompt.audios = {{audio}};
    }
    return PromptBuilder(*rig.model, rig.machine).prepare(prompt, nullptr);
  }

  // Prefill in chunks, then the recorded tokens one by one; every step compared.
  void expect_case(const std::string& name, Wanted wanted, int64_t chunk) {
    Rig& rig = Rig::of(GetParam());
    FullTextCase golden(GetParam(), name);
    const PreparedPrompt prompt = prepare(rig, golden);
    const TextModel& text = rig.model->text();
    const int64_t vocab = text.vocab_size(), hidden = text.config().hidden_size;
    std::vector<int32_t> ids = prompt.ids, soft_row(ids.size(), -1);
    ASSERT_EQ(ids, golden.ids());
    std::vector<float> soft;
    for (const SoftSpan& span : prompt.soft) {
      for (int64_t i = 0; i < span.tokens->rows; ++i)
        soft_row[static_cast<size_t>(span.first + i)] =
            static_cast<int32_t>(static_cast<int64_t>(soft.size()) / hidden + i);
      soft.insert(soft.end(), span.tokens->values.begin(), span.tokens->values.end());
    }
    const int64_t context = static_cast<int64_t>(ids.size()) + golden.steps();
    const auto cache = text.make_cache(context, chunk, DType::kF32);
    SequenceCache* const caches[] = {cache.get()};
    FullTextSink sink;
    rig.machine.set_taps(&sink);
    const std::unique_ptr<Machine, void (*)(Machine*)> no_taps_afterwards(
        &rig.machine, [](Machine* machine) { machine->set_taps(nullptr); });
    std::vector<float> logits;
    for (int64_t step = 0; step < golden.steps(); ++step) {
      if (step > 0) ids = {golden.greedy_ids()[static_cast<size_t>(step - 1)]}, soft_row = {-1};
      sink.clear();
      const int64_t count = static_cast<int64_t>(ids.size());
      for (int64_t first = 0; first < count; first += chunk) {
        std::vector<Row> rows;
        int64_t wants = 0;
        for (int64_t i = first; i < std::min(first + chunk, count); ++i) {
          rows.push_back({.position = static_cast<int32_t>(cache->length() + i - first),
                          .id = ids[i],
                          .soft_token = soft_row[i],
                          .wants_logits = wanted == Wanted::kAll || i + 1 == count});
          wants += rows.back().wants_logits;
        }
        logits.resize(static_cast<size_t>(wants * vocab));
        rig.machine.run(nullptr, [&](Context& ctx) {
          text.forward(ctx, {rows, caches, {soft.data(), {static_cast<int64_t>(soft.size()) / hidden, hidden}}},
                       {logits.data(), {wants, vocab}});
        });
      }
      const bool whole = wanted == Wanted::kAll || step > 0;
      ASSERT_EQ(golden.compare(step, sink, {logits.end() - vocab, logits.end()},
                               name == "text_12" && step == 0 && whole, whole),
                "");
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
