// Prompts with media, from pixels and samples to logits: the demo checkpoint's recorded prompts and the tiny one's, tap
// by tap.
#include <gtest/gtest.h>

#include <filesystem>

#include "golden/demo.h"
#include "runtime/engine_impl.h"
#include "support/golden.h"
#include "support/inputs.h"
#include "support/source_path.h"
#include "support/errors.h"
#include "tools/checkpoint_writer.h"
#include "tools/mmproj_maker.h"

namespace g3n::testing {
namespace {

// The tiny checkpoint as a folder, written once per run.
std::string tiny_folder() {
  static const std::string folder = [] {
    const std::string path = ::testing::TempDir() + "g3n_tiny_" + std::to_string(::getpid());
    std::filesystem::remove_all(path);
    ThreadPool pool(2);
    write_random_checkpoint(pool, source_path("tests/golden/data/tiny/config.json"), path, {.shards = 3});
    return path;
  }();
  return folder;
}

// The prompt through the engine's own scheduler, every row wanted, in steps of `chunk` rows; taps under the golden's
// names: image.I. when there are several.
void expect_case(const GoldenCase& golden, const ModelPaths& paths, const IdsPrompt& prompt, int image_size,
                 int64_t chunk, const GoldenOptions& options) {
  EngineOptions engine_options;
  engine_options.model = paths.model;
  engine_options.mmproj = paths.mmproj;
  engine_options.threads = 2;
  engine_options.image_size = image_size;
  engine_options.chunk = chunk;
  engine_options.compute = options.bf16 ? Compute::kBF16 : Compute::kF32;
  const std::shared_ptr<Engine> engine = Engine::open(engine_options);
  Engine::Impl& inside = EngineAccess::of(*engine);
  GoldenSink sink(golden, options);
  JobSetup setup;
  setup.plan = [&] { return inside.builder->plan(prompt); };
  setup.wants_answer = false;
  setup.logits = WantedLogits{.first = 0, .most_rows = chunk, .on_rows = {}};
  setup.taps = &sink;
  inside.running().submit(std::move(setup))->answer();
  EXPECT_EQ(sink.first_difference(), "");
  std::printf("%s\n", sink.worst().c_str());
}

Pixels picture_of(const GoldenImage& image) {
  return {static_cast<int>(image.size), static_cast<int>(image.size), golden_image(image.size, image.seed)};
}

void expect_tiny(const std::string& name, int image_size, int64_t chunk = 4096, const GoldenOptions& options = {},
                 const ModelPaths& paths = {tiny_folder()}) {
  const GoldenCase golden = GoldenCase::load(GoldenCase::tiny_manifest(), name);
  IdsPrompt prompt{{golden.ids().begin(), golden.ids().end()}, {}};
  for (const GoldenImage& image : golden.images()) prompt.media.emplace_back(ImagePart{picture_of(image)});
  for (const GoldenClip& clip : golden.clips())
    prompt.media.emplace_back(AudioPart{Samples{golden_samples(clip.samples, static_cast<uint32_t>(clip.seed))}});
  expect_case(golden, paths, prompt, image_size, chunk, options);
}

// Text out of one GGUF file and towers out of another: the goldens of the folder.
TEST(TinyMedia, AudioAndImageFromGgufFiles) {
  const TemporaryFolder folder;
  ThreadPool pool(2);
  const std::string mmproj = folder / "mmproj.gguf";
  write_mmproj(pool, open_checkpoint(tiny_folder()), mmproj, {.type = DType::kF16, .dialect = MmprojDialect::kOllama});
  expect_tiny("mixed", 256, 4096, {}, {source_path("tests/golden/data/gguf/text-bf16.gguf"), mmproj});
}

TEST(TinyMedia, TwoImages) { expect_tiny("two_images", 256); }
TEST(TinyMedia, AudioAndImage) { expect_tiny("mixed", 256); }
TEST(TinyMedia, AudioAndImageInChunks) {
  for (int64_t chunk : {7, 64, 512}) expect_tiny("mixed", 256, chunk);
}
TEST(TinyMedia, AudioAndImageInBF16StayBelowTransformersOwnDistance) {
  expect_tiny("mixed", 256, 4096, {.bf16 = true});
}
TEST(TinyMediaSlow, ImageOf768) { expect_tiny("image_text", 768); }
TEST(TinyMediaSlow, AudioAndImageInChunksOfOne) { expect_tiny("mixed", 256, 1); }

void expect_demo(const std::string& name, int64_t chunk, const GoldenOptions& options = {}) {
  const GoldenCase golden = GoldenCase::load(GoldenCase::demo_manifest(), name);
  const Conversation& c = conversation(golden.conversation());
  IdsPrompt prompt{c.ids, {}};
  for (const Message& message : c.messages)
    for (const Part& part : message.parts) {
      if (const auto* image = std::get_if<ImagePart>(&part)) prompt.media.emplace_back(*image);
      if (const auto* audio = std::get_if<AudioPart>(&part)) prompt.media.emplace_back(*audio);
    }
  expect_case(golden, {demo_folder()}, prompt, 256, chunk, options);
}

class DemoTaps : public ::testing::TestWithParam<std::string> {};
TEST_P(DemoTaps, EqualTransformers) { expect_demo(GetParam(), 4096); }
TEST_P(DemoTaps, EqualTransformersInChunks) { expect_demo(GetParam(), 64); }
TEST_P(DemoTaps, InBF16StayBelowTransformersOwnDistance) { expect_demo(GetParam(), 4096, {.bf16 = true}); }
INSTANTIATE_TEST_SUITE_P(Golden, DemoTaps, ::testing::ValuesIn(GoldenCase::names(GoldenCase::demo_manifest())),
                         [](const auto& instance) { return instance.param; });

}  // namespace
}  // namespace g3n::testing
