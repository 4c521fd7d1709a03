// Towers for the tests of vision: the tiny model's and any other shape by the hash rule, and what runs them.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "core/context.h"
#include "kernels/table.h"
#include "support/golden.h"
#include "support/hash_weights.h"
#include "support/source_path.h"
#include "vision/vision_tower.h"
#include "weights/loader.h"

namespace g3n::testing {

inline const std::string kTinyFolder = source_path("tests/golden/data/tiny");
inline const std::string kDemoFolder = source_path("models/demo");

struct LoadedTower {
  VisionTower tower;
  WeightStore store;
};
// Throws what the loader throws.
LoadedTower load_tower(std::shared_ptr<const TensorSource> source, const VisionConfig& config, Log log = {});

VisionConfig config_of(const std::string& folder);
// Names and shapes of the tiny checkpoint that belong to vision.
std::vector<NamedShape> tiny_vision_tensors();
// What bind names from the config alone.
std::vector<NamedShape> listed_vision_tensors(const VisionConfig& config);
// The tiny tower; made once.
const LoadedTower& tiny_tower();

struct RunOptions {
  int threads = 2;
  ComputeType compute = ComputeType::kF32;
  const KernelTable* kernels = nullptr;  // null: the best
  TapSink* taps = nullptr;
};
// Soft tokens, row-major, of pixels [h, w, 3]. peak_bytes: of scratch, if wanted.
std::vector<float> run_tower(const VisionTower& tower, const std::vector<float>& pixels, int64_t h, int64_t w,
                             const RunOptions& options, size_t* peak_bytes = nullptr);
// golden_picture as floats in [0, 1].
std::vector<float> picture(int64_t w, int64_t h, int64_t seed);

}  // namespace g3n::testing
