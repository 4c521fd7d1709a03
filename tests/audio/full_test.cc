// The audio tower at the real E2B shape with hashed weights: the golden of golden/full, and the time of 30 s without
// taps.
#include <gtest/gtest.h>

#include <chrono>

#include "audio/towers.h"
#include "support/full_tower_golden.h"
#include "support/inputs.h"
#include "support/source_path.h"

namespace g3n::testing {
namespace {

const std::string kConfigFolder = source_path("tests/golden/data/full/e2b");
constexpr double kGigaMacs = 511;  // 30 s; spec: audio.md 9

const LoadedTower& full_tower() {
  static const LoadedTower tower = [] {
    const AudioConfig config = config_of(kConfigFolder);
    return load_tower(hash_checkpoint(listed_audio_tensors(config), /*ple_size=*/256), config);
  }();
  return tower;
}

TEST(AudioFull, ThreeSeconds) {
  FullTowerGolden golden("e2b/audio_3s");
  const LogMel mel = log_mel({}, golden_samples(golden.clip_samples(), static_cast<uint32_t>(golden.seed())));
  const std::vector<float> rows = run_tower(full_tower().tower, mel, {.taps = &golden});
  const AudioConfig& c = full_tower().tower.config();
  const int64_t own[] = {full_tower().tower.tokens(mel.frames), c.text_hidden}, padding[] = {c.text_hidden};
  golden.record("audio.real_soft_tokens", own, rows.data(), 0);
  golden.record("audio.padding_soft_token", padding, rows.data() + own[0] * c.text_hidden, 0);
  EXPECT_EQ(golden.first_difference(), "");
  std::printf("%s\n", golden.worst().c_str());
}

TEST(AudioFull, NamesTheTensorsOfThePublishedModels) {
  const std::vector<NamedShape> tensors = listed_audio_tensors(config_of(kConfigFolder));
  EXPECT_EQ(tensors.size(), 269u + 4u);
  int64_t parameters = 0;
  for (const NamedShape& tensor : tensors) {
    int64_t count = 1;
    for (int64_t d : tensor.shape) count *= d;
    parameters += count;
  }
  EXPECT_EQ(parameters, 681348640 + 3345408);  // spec/audio.md 9
}

// Timings are printed, not judged: machines differ.
TEST(AudioFull, Time) {
  const AudioTower& tower = full_tower().tower;  // made before the clock starts
  const LogMel mel = log_mel({}, golden_samples(480000, 1));
  for (const ComputeType compute : {ComputeType::kF32, ComputeType::kBF16}) {
    size_t peak = 0;
    const auto start = std::chrono::steady_clock::now();
    run_tower(tower, mel, {.compute = compute}, &peak);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    std::printf("%s %s 30 s: %.2f s, about %.0f GFLOP/s, scratch %.0f MB\n", best_kernels().name,
                compute == ComputeType::kF32 ? "f32" : "bf16", seconds, 2 * kGigaMacs / seconds,
                static_cast<double>(peak) / 1e6);
    EXPECT_LT(peak, 100u << 20);
  }
}

}  // namespace
}  // namespace g3n::testing
