// The tiny model's audio tower, tap by tap, against transformers; the first tap that differs is named. Samples to soft
// tokens.
#include <gtest/gtest.h>

#include <algorithm>

#include "audio/towers.h"
#include "support/golden.h"
#include "support/inputs.h"

namespace g3n::testing {
namespace {

const LoadedTower& tiny_tower() {
  static const LoadedTower tower = load_tower(tiny_checkpoint(kTinyFolder), config_of(kTinyFolder));
  return tower;
}

// Every clip of a case, each alone or, in a batch, padded to the longest.
void expect_golden(const std::string& name, RunOptions options = {}) {
  const GoldenCase golden = GoldenCase::load(GoldenCase::tiny_manifest(), name);
  const bool batch = golden.clips().size() > 1;
  int64_t longest = 0;
  for (const GoldenClip& clip : golden.clips()) longest = std::max(longest, clip.samples);
  GoldenSink sink(golden);
  options.taps = &sink;
  for (size_t i = 0; i < golden.clips().size(); ++i) {
    const GoldenClip& clip = golden.clips()[i];
    if (batch) sink.set_prefix("clip." + std::to_string(i) + ".");
    const std::vector<float> samples = golden_samples(clip.samples, static_cast<uint32_t>(clip.seed));
    const LogMel mel = log_mel({}, samples, batch ? longest : 0);
    if (batch) {
      EXPECT_EQ(mel.frames, clip.frames);
      EXPECT_EQ(std::count(mel.valid.begin(), mel.valid.end(), 1), clip.valid_frames);
    }
    run_tower(tiny_tower().tower, mel, options);
  }
  EXPECT_EQ(sink.first_difference(), "");
  std::printf("%s\n", sink.worst().c_str());
}

TEST(AudioGolden, QuarterSecond) { expect_golden("audio_0s25"); }
TEST(AudioGolden, OneSecond) { expect_golden("audio_1s"); }
TEST(AudioGolden, FiveSeconds) { expect_golden("audio_5s3"); }
TEST(AudioGolden, PaddedBatch) { expect_golden("audio_batch"); }
TEST(AudioGoldenSlow, ThirtySeconds) { expect_golden("audio_30s"); }
TEST(AudioGoldenSlow, EveryTable) {
  const TableList tables = runnable_kernels();
  for (int i = 0; i < tables.count; ++i)
    for (const char* name : {"audio_0s25", "audio_1s", "audio_5s3", "audio_batch", "audio_30s"}) {
      SCOPED_TRACE(std::string(tables.tables[i]->name) + " " + name);
      expect_golden(name, {.kernels = tables.tables[i]});
    }
}

// bf16 compute rounds where activations enter a matmul: a few thousandths, and nothing else changes.
TEST(AudioGolden, BF16ComputeIsNear) {
  const LogMel mel = log_mel({}, golden_samples(84885, 3));
  const std::vector<float> f32 = run_tower(tiny_tower().tower, mel, {});
  const double distance = relative_rms(run_tower(tiny_tower().tower, mel, {.compute = ComputeType::kBF16}), f32);
  EXPECT_LT(distance, 0.02);
  EXPECT_GT(distance, 1e-5);
}

}  // namespace
}  // namespace g3n::testing
