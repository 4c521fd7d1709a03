// Prompts with media, from pixels and samples to logits: the demo checkpoint's recorded prompts and the tiny one's, tap
// by tap.
#include <gtest/gtest.h>

#include <filesystem>

#include "golden/demo.h"
#include "model/model.h"
#include "runtime/machine.h"
#include "runtime/prompt_builder.h"
#include "support/golden.h"
#include "support/inputs.h"
#include "kernels/table.h"
#include "tools/checkpoint_writer.h"

namespace g3n::testing {
namespace {

// The tiny checkpoint as a folder, written once per run.
std::string tiny_folder() {
  static const std::string folder = [] {
    const std::string path = ::testing::TempDir() + "g3n_tiny_" + std::to_string(::getpid());
    std::filesystem::remove_all(path);
    ThreadPool pool(2);
    write_random_checkpoint(pool, std::string(G3N_SOURCE_DIR) + "/tests/golden/data/tiny/config.json", path,
                            {.shards = 3});
    return path;
  }();
  return folder;
}

struct Rig {
  Machine machine;
  std::unique_ptr<Gemma3n> model;

  Rig(const std::string& folder, int image_size, ComputeType compute)
      : machine(2, best_kernels(), compute), model(Gemma3n::load(folder, machine.pool(), {})) {
    model->set_image_size(image_size);
  }

  // Soft tokens under the golden's names: image.I. when there are several.
  template <typename PartType, typename Encode>
  void encode_all(std::vector<PartType>& parts, const char* what, GoldenSink& sink, Encode encode) {
    for (size_t i = 0; i < parts.size(); ++i) {
      sink.set_prefix(parts.size() > 1 ? std::string(what) + "." + std::to_string(i) + "." : "");
      parts[i] = {machine.run(nullptr, [&](Context& ctx) { return encode(ctx, parts[i]); })};
    }
    sink.set_prefix("");
  }

  void expect_case(const GoldenCase& golden, IdsPrompt prompt, int64_t chunk, const GoldenOptions& options) {
    GoldenSink sink(golden, options);
    machine.set_taps(&sink);
    encode_all(prompt.images, "image", sink,
               [&](Context& ctx, const ImagePart& part) { return model->encode_image(ctx, part); });
    encode_all(prompt.audios, "clip", sink,
               [&](Context& ctx, const AudioPart& part) { return model->encode_audio(ctx, part); });
    const PreparedPrompt prepared = PromptBuilder(*model, machine).prepare(prompt, nullptr);
    feed(prepared, chunk);
    machine.set_taps(nullptr);
    EXPECT_EQ(sink.first_difference(), "");
    std::printf("%s\n", sink.worst().c_str());
  }

  void feed(const PreparedPrompt& prompt, int64_t chunk) {
    const int64_t tokens = static_cast<int64_t>(prompt.ids.size()), hidden = model->text().config().hidden_size;
    auto cache = model->text().make_cache(tokens, chunk, standard_cache(machine.compute()));
    SequenceCache* const caches[] = {cache.get()};
    std::vector<float> soft;
    std::vector<int32_t> soft_row(tokens, -1);
    for (const SoftSpan& span : prompt.soft) {
      for (int64_t i = 0; i < span.tokens->rows; ++i)
        soft_row[span.first + i] = static_cast<int32_t>(soft.size() / hidden + i);
      soft.insert(soft.end(), span.tokens->values.begin(), span.tokens->values.end());
    }
    for (int64_t first = 0; first < tokens; first += chunk) {
      std::vector<Row> rows;
      for (int64_t i = first; i < std::min(first + chunk, tokens); ++i)
        rows.push_back({.position = static_cast<int32_t>(i),
                        .id = prompt.ids[i],
                        .soft_token = soft_row[i],
                        .wants_logits = true});
      std::vector<float> logits(rows.size() * model->text().vocab_size());
      machine.run(nullptr, [&](Context& ctx) {
        model->text().forward(ctx, {rows, caches, {soft.data(), {static_cast<int64_t>(soft.size()) / hidden, hidden}}},
                              {logits.data(), {static_cast<int64_t>(rows.size()), model->text().vocab_size()}});
      });
    }
  }
};

Pixels picture_of(const GoldenImage& image) {
  return {static_cast<int>(image.size), static_cast<int>(image.size), golden_image(image.size, image.seed)};
}

void expect_tiny(const std::string& name, int image_size, int64_t chunk = 4096, const GoldenOptions& options = {}) {
  const GoldenCase golden = GoldenCase::load(GoldenCase::tiny_manifest(), name);
  IdsPrompt prompt{{golden.ids().begin(), golden.ids().end()}, {}, {}};
  for (const GoldenImage& image : golden.images()) prompt.images.push_back({picture_of(image)});
  for (const GoldenClip& clip : golden.clips())
    prompt.audios.push_back({Samples{golden_samples(clip.samples, static_cast<uint32_t>(clip.seed))}});
  Rig(tiny_folder(), image_size, options.bf16 ? ComputeType::kBF16 : ComputeType::kF32)
      .expect_case(golden, prompt, chunk, options);
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
  IdsPrompt prompt{c.ids, {}, {}};
  for (const Message& message : c.messages)
    for (const Part& part : message.parts) {
      if (const auto* image = std::get_if<ImagePart>(&part)) prompt.images.push_back(*image);
      if (const auto* audio = std::get_if<AudioPart>(&part)) prompt.audios.push_back(*audio);
    }
  Rig(demo_folder(), 256, options.bf16 ? ComputeType::kBF16 : ComputeType::kF32)
      .expect_case(golden, prompt, chunk, options);
}

class DemoTaps : public ::testing::TestWithParam<std::string> {};
TEST_P(DemoTaps, EqualTransformers) { expect_demo(GetParam(), 4096); }
TEST_P(DemoTaps, EqualTransformersInChunks) { expect_demo(GetParam(), 64); }
TEST_P(DemoTaps, InBF16StayBelowTransformersOwnDistance) { expect_demo(GetParam(), 4096, {.bf16 = true}); }
INSTANTIATE_TEST_SUITE_P(Golden, DemoTaps, ::testing::ValuesIn(GoldenCase::names(GoldenCase::demo_manifest())),
                         [](const auto& instance) { return instance.param; });

}  // namespace
}  // namespace g3n::testing
