// Sampler: chooses the next id from logits, as HF's generate does (processor.md 8). The draw is a function of (seed,
// position) alone.
#pragma once
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "g3n/options.h"

namespace g3n {

class Sampler {
 public:
  // Ids >= choosable_ids are never chosen (no per-layer embedding: fillers and media ids).
  Sampler(const Sampling& sampling, int64_t choosable_ids);

  // logits: [vocab]. history: prompt and answer so far, for the repetition penalty. position: of the token being
  // chosen.
  int32_t choose(std::span<const float> logits, std::span<const int32_t> history, int64_t position);

 private:
  void penalise(std::span<const int32_t> history);
  int32_t draw(int64_t position);

  Sampling sampling_;
  int64_t choosable_;
  std::vector<float> scores_;                          // [choosable]
  std::vector<std::pair<float, int32_t>> candidates_;  // score, id; best first
};

}  // namespace g3n
