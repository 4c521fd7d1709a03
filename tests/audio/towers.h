// Audio towers for tests: of a source by the hash rule, and what runs them on the goldens' clips.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "audio/audio_tower.h"
#include "audio/mel.h"
#include "kernels/table.h"
#include "support/hash_weights.h"
#include "support/source_path.h"
#include "weights/loader.h"

namespace g3n::testing {

inline const std::string kTinyFolder = source_path("tests/golden/data/tiny");

struct LoadedTower {
  AudioTower tower;
  WeightStore store;
};
// Throws what the loader throws.
LoadedTower load_tower(std::shared_ptr<const TensorSource> source, const AudioConfig& config);

AudioConfig config_of(const std::string& folder);
// Names and shapes that bind states from the config alone.
std::vector<NamedShape> listed_audio_tensors(const AudioConfig& config);

struct RunOptions {
  int threads = 2;
  ComputeType compute = ComputeType::kF32;
  const KernelTable* kernels = nullptr;  // null: the best
  TapSink* taps = nullptr;
};
// Soft tokens [soft_tokens, text_hidden] of one clip. peak_bytes: of scratch, if wanted.
std::vector<float> run_tower(const AudioTower& tower, const LogMel& clip, const RunOptions& options,
                             size_t* peak_bytes = nullptr);

}  // namespace g3n::testing
