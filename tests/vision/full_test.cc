// The vision tower at the real E2B shape with hashed weights: goldens of golden/full, and the time of a picture without
// taps.
#include <gtest/gtest.h>

#include <chrono>

#include "support/full_tower_golden.h"
#include "support/source_path.h"
#include "vision/towers.h"

namespace g3n::testing {
namespace {

const std::string kConfigFolder = source_path("tests/golden/data/full/e2b");
constexpr double kTowerGigaMacs = 435.7;  // at 768 x 768; spec: vision.md 7

const LoadedTower& full_tower() {
  static const LoadedTower tower = [] {
    const VisionConfig config = config_of(kConfigFolder);
    return load_tower(hash_checkpoint(listed_vision_tensors(config), /*ple_size=*/256), config);
  }();
  return tower;
}

void expect_golden(const std::string& name) {
  FullTowerGolden golden(name);
  const int64_t size = golden.image_size();
  run_tower(full_tower().tower, picture(size, size, golden.seed()), size, size, {.taps = &golden});
  EXPECT_EQ(golden.first_difference(), "");
  std::printf("%s: %s\n", name.c_str(), golden.worst().c_str());
}

TEST(VisionFull, Size256) { expect_golden("e2b/vision_256"); }
TEST(VisionFull, Size768) { expect_golden("e2b/vision_768"); }

// Timings are printed, not judged: machines differ.
TEST(VisionFull, Time) {
  for (const ComputeType compute : {ComputeType::kF32, ComputeType::kBF16})
    for (const int64_t size : {256, 512, 768}) {
      const std::vector<float> pixels = picture(size, size, 1);
      size_t peak = 0;
      const auto start = std::chrono::steady_clock::now();
      run_tower(full_tower().tower, pixels, size, size, {.compute = compute}, &peak);
      const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      const double scaled =
          kTowerGigaMacs * static_cast<double>(size * size) / (768.0 * 768.0);  // attention, a twentieth, grows faster
      std::printf("%s %s %4d px: %.2f s, about %.0f GFLOP/s, scratch %.0f MB\n", best_kernels().name,
                  compute == ComputeType::kF32 ? "f32" : "bf16", static_cast<int>(size), seconds, 2 * scaled / seconds,
                  static_cast<double>(peak) / 1e6);
      EXPECT_LT(peak, 150u << 20);  // an unbounded block 1.0 alone would take 113 MB more
    }
}

}  // namespace
}  // namespace g3n::testing
