// g3n trace against the goldens of the demo and of the tiny checkpoint, which random_checkpoint writes.
#include <gmock/gmock.h>

#include <cstring>
#include <fstream>

#include "apps/conversations.h"
#include "apps/program.h"
#include "formats/safetensors_source.h"
#include "support/golden.h"
#include "support/inputs.h"
#include "support/source_path.h"

namespace g3n::testing {
namespace {

using ::testing::HasSubstr;

class Traced {
 public:
  // Runs g3n trace into a file of its own and opens it.
  explicit Traced(Arguments arguments) {
    arguments.insert(arguments.begin(), "trace");
    arguments.insert(arguments.end(), {"--out", folder_.path("t.safetensors")});
    outcome = run_g3n(arguments);
    if (outcome.status == 0) source_ = open_safetensors_file(folder_.path("t.safetensors"));
  }

  Outcome outcome;

  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& [name, tensor] : source_->tensors()) all.push_back(name);
    return all;
  }
  template <typename T>
  std::vector<T> values(const std::string& name) const {
    const TensorInfo* tensor = source_->find(name);
    if (!tensor) return {};
    std::vector<T> values(static_cast<size_t>(tensor->bytes) / sizeof(T));
    std::memcpy(values.data(), tensor->data, static_cast<size_t>(tensor->bytes));
    return values;
  }
  std::vector<int64_t> shape(const std::string& name) const {
    const TensorInfo* tensor = source_->find(name);
    return tensor ? tensor->shape : std::vector<int64_t>{};
  }
  // Empty if every tap of the case is in the file, near enough.
  std::string difference(const GoldenCase& golden) const {
    GoldenSink sink(golden);
    for (const auto& [name, tensor] : source_->tensors())
      if (sink.wants(name)) sink.record(name, tensor.shape, reinterpret_cast<const float*>(tensor.data), 0);
    return sink.first_difference();
  }

 private:
  TemporaryFolder folder_;
  std::unique_ptr<TensorSource> source_;
};

std::string comma_list(const std::vector<int64_t>& ids) {
  std::string text;
  for (const int64_t id : ids) (text.empty() ? text : text += ',') += std::to_string(id);
  return text;
}

class TinyCheckpoint : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<TemporaryFolder>();
    const Outcome made =
        run_program(G3N_RANDOM_CHECKPOINT, {source_path("tests/golden/data/tiny/config.json"), folder_->path("tiny")});
    ASSERT_EQ(made.status, 0) << made.err;
  }
  static void TearDownTestSuite() { folder_.reset(); }

  static std::string model() { return folder_->path("tiny"); }
  static GoldenCase golden(const std::string& name) { return GoldenCase::load(GoldenCase::tiny_manifest(), name); }
  static std::string picture(const GoldenImage& image) {
    const std::string path = folder_->path(std::to_string(image.size) + "_" + std::to_string(image.seed) + ".ppm"),
                      size = std::to_string(image.size);
    const std::vector<uint8_t> rgb = golden_image(image.size, image.seed);
    write_text(path, "P6\n" + size + " " + size + "\n255\n" + std::string(rgb.begin(), rgb.end()));
    return path;
  }

  static std::unique_ptr<TemporaryFolder> folder_;
};
std::unique_ptr<TemporaryFolder> TinyCheckpoint::folder_;

TEST_F(TinyCheckpoint, EveryTextTapIsThatOfTransformers) {
  for (const char* name : {"text_7", "text_40"}) {
    const GoldenCase c = golden(name);
    for (const Arguments& chunk :
         {Arguments{}, Arguments{"--chunk", "7"}, Arguments{"--chunk", "1", "--threads", "2"}}) {
      Arguments arguments = {"-m", model(), "--ids", comma_list(c.ids())};
      arguments.insert(arguments.end(), chunk.begin(), chunk.end());
      const Traced trace(arguments);
      ASSERT_EQ(trace.outcome.status, 0) << trace.outcome.err;
      EXPECT_EQ(trace.outcome.out, "");
      EXPECT_EQ(trace.difference(c), "") << name << ::testing::PrintToString(chunk);
      EXPECT_EQ(trace.values<int32_t>("greedy_ids").size(), 0u);
    }
  }
}

TEST_F(TinyCheckpoint, GreedyStepsAreThoseOfTransformers) {
  const GoldenCase c = golden("decode");
  const std::vector<int64_t> want = c.integers("greedy_ids");
  const Traced trace({"-m", model(), "--ids", comma_list(c.ids()), "--steps", std::to_string(want.size())});
  ASSERT_EQ(trace.outcome.status, 0) << trace.outcome.err;
  EXPECT_EQ(trace.difference(c), "");
  const std::vector<int32_t> got = trace.values<int32_t>("greedy_ids");
  EXPECT_EQ(std::vector<int64_t>(got.begin(), got.end()), want);
}

TEST_F(TinyCheckpoint, PicturesAndSoundsFillTheirSoftTokens) {
  for (const char* name : {"two_images", "mixed"}) {
    const GoldenCase c = golden(name);
    const TemporaryFolder folder;
    std::string ids;
    for (const int64_t id : c.integers("ids")) ids += std::to_string(id) + "\n";
    write_text(folder.path("ids.txt"), ids);
    Arguments arguments = {
        "-m", model(), "--ids-file", folder.path("ids.txt"), "--image-size", std::to_string(c.images().at(0).size)};
    for (const GoldenImage& image : c.images()) arguments.insert(arguments.end(), {"--image", picture(image)});
    for (const GoldenClip& clip : c.clips())
      arguments.insert(arguments.end(), {"--audio", source_path("tests/golden/data/media/chirps_") +
                                                        std::to_string(clip.samples) + ".wav"});
    const Traced trace(arguments);
    ASSERT_EQ(trace.outcome.status, 0) << trace.outcome.err;
    EXPECT_EQ(trace.difference(c), "") << name;
  }
}

TEST_F(TinyCheckpoint, ATowerRunsAlone) {
  const GoldenCase vision = golden("vision_256"), audio = golden("audio_1s");
  const Traced image({"-m", model(), "--image-size", "256", "--image", picture(vision.images().at(0))});
  ASSERT_EQ(image.outcome.status, 0) << image.outcome.err;
  EXPECT_EQ(image.difference(vision), "");
  const std::string clip =
      source_path("tests/golden/data/media/chirps_") + std::to_string(audio.clips().at(0).samples) + ".wav";
  const Traced one({"-m", model(), "--audio", clip});
  ASSERT_EQ(one.outcome.status, 0) << one.outcome.err;
  EXPECT_EQ(one.difference(audio), "");
  const Traced two({"-m", model(), "--audio", clip, "--audio", clip, "--taps", "*.audio.encoded"});
  EXPECT_THAT(two.names(), ::testing::ElementsAre("clip.0.audio.encoded", "clip.1.audio.encoded"));
}

TEST_F(TinyCheckpoint, WithoutATokenizerOnlyTextIsRefused) {
  const Outcome text = run_g3n({"run", "-m", model(), "Hello"});
  EXPECT_EQ(text.status, 1);
  EXPECT_THAT(text.err, HasSubstr("tokenizer"));
  EXPECT_EQ(text.out, "");
  EXPECT_EQ(run_g3n({"inspect", model()}).status, 0);
}

TEST(Trace, OfTheDemoIsThatOfTransformers) {
  for (const std::string& name : GoldenCase::names(GoldenCase::demo_manifest())) {
    const GoldenCase golden = GoldenCase::load(GoldenCase::demo_manifest(), name);
    const Conversation& c = conversation(golden.conversation());
    Arguments arguments = {"-m", demo(), "--ids", comma_list(c.ids)};
    for (const std::string& image : c.images) arguments.insert(arguments.end(), {"--image", image});
    for (const std::string& audio : c.audios) arguments.insert(arguments.end(), {"--audio", audio});
    const Traced trace(arguments);
    ASSERT_EQ(trace.outcome.status, 0) << trace.outcome.err;
    EXPECT_EQ(trace.difference(golden), "") << name;
  }
}

TEST(Trace, StopTokensDoNotEndTheSteps) {
  const Conversation& c = conversation("sum");
  const size_t steps = c.greedy_ids.size() + 3;
  const Traced trace({"-m", demo(), "--prompt", c.prompt, "--steps", std::to_string(steps), "--taps", "text.embed"});
  ASSERT_EQ(trace.outcome.status, 0) << trace.outcome.err;
  EXPECT_EQ(trace.shape("text.embed").at(0), static_cast<int64_t>(c.ids.size()));
  const std::vector<int32_t> greedy = trace.values<int32_t>("greedy_ids");
  ASSERT_EQ(greedy.size(), steps);
  EXPECT_EQ(
      std::vector<std::int64_t>(greedy.begin(), greedy.begin() + static_cast<std::ptrdiff_t>(c.greedy_ids.size())),
      c.greedy_ids);
}

// Whatever --chunk, with and without the logits of every row: the same values under the same names.
TEST(Trace, ChunksChangeNothing) {
  const Conversation& c = conversation("long_prompt");
  for (const bool with_cut : {false, true}) {
    std::vector<std::string> names;
    std::vector<float> norm, logits;
    for (const char* chunk : {"512", "1", "20", "100"}) {
      SCOPED_TRACE(chunk);
      Arguments arguments = {"-m",      demo(), "--prompt", c.prompt,    "--chunk", chunk,
                             "--steps", "2",    "--taps",   "text.norm", "--taps",  "text.layer.1.*"};
      if (with_cut) arguments.push_back("--cut");
      const Traced trace(arguments);
      ASSERT_EQ(trace.outcome.status, 0) << trace.outcome.err;
      if (names.empty()) {
        names = trace.names();
        norm = trace.values<float>("text.norm");
        logits = trace.values<float>("step.1.logits");
        continue;
      }
      EXPECT_EQ(trace.names(), names);
      EXPECT_TRUE(trace.values<float>("text.norm") == norm);
      EXPECT_TRUE(trace.values<float>("step.1.logits") == logits);
    }
  }
}

TEST(Trace, StepsNeedRoom) {
  const TemporaryFolder folder;
  const Arguments arguments = {
      "trace", "-m", demo(), "--ids", "2,105,107", "--context", "4", "--out", folder.path("t.safetensors"), "--steps"};
  Arguments fits = arguments, full = arguments;
  fits.push_back("2");
  full.push_back("3");
  EXPECT_EQ(run_g3n(fits).status, 0);
  const Outcome outcome = run_g3n(full);
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("5 positions, the context has 4"));
}

TEST(Trace, GlobsChoose) {
  const Traced trace({"-m", demo(), "--ids", "2, 105", "--taps", "text.layer.0.[qk]", "--taps", "text.n*m"});
  EXPECT_THAT(trace.names(), ::testing::ElementsAre("text.layer.0.k", "text.layer.0.q", "text.norm"));
}

TEST(Trace, TheCutLeavesTheLastRow) {
  const Conversation& c = conversation("sum");
  const Arguments base = {"-m", demo(), "--ids", comma_list(c.ids), "--taps", "text.*"};
  Arguments with_cut = base;
  with_cut.push_back("--cut");
  const Traced whole(base), cut(with_cut);
  const int64_t tokens = static_cast<int64_t>(c.ids.size());
  EXPECT_EQ(whole.shape("text.norm").at(0), tokens);
  EXPECT_EQ(cut.shape("text.norm").at(0), 1);
  EXPECT_EQ(cut.shape("text.layer.0.input_norm").at(0), tokens);
  EXPECT_EQ(cut.values<float>("text.last_logits"), whole.values<float>("text.last_logits"));
  EXPECT_EQ(whole.shape("text.last_logits").size(), 1u);
}

TEST(Trace, CountsMustFit) {
  const TemporaryFolder folder;
  const Conversation& c = conversation("caption");
  const Outcome missing = run_g3n({"trace", "-m", demo(), "--ids", comma_list(c.ids), "--out", folder.path("t")});
  EXPECT_EQ(missing.status, 1);
  EXPECT_THAT(missing.err, HasSubstr("256 image soft tokens, 0 images"));
  const Outcome surplus =
      run_g3n({"trace", "-m", demo(), "--ids", "2", "--image", c.images.at(0), "--out", folder.path("t")});
  EXPECT_EQ(surplus.status, 1);
  EXPECT_THAT(surplus.err, HasSubstr("0 image soft tokens, 1 image"));
  EXPECT_THAT(folder.names(), ::testing::IsEmpty());
}

}  // namespace
}  // namespace g3n::testing
