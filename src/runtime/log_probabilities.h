// LogProbabilities: what one row of logits says about its ids: the log-softmax over the whole row, in double. The one
// reduction of a row, of the sampler and of scores.
#pragma once
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace g3n {

class LogProbabilities {
 public:
  // The row outlives this. position: of the row, for the error. Throws kBadFile for logits that are NaN or +infinity.
  LogProbabilities(std::span<const float> row, int64_t position);

  double of(int32_t id) const { return static_cast<double>(row_[static_cast<size_t>(id)]) - max_ - log_total_; }
  // The first of the likeliest ids.
  int32_t likeliest() const;
  // The likeliest ids, best first, equal ones by id.
  std::vector<std::pair<int32_t, float>> top(size_t count) const;

 private:
  std::span<const float> row_;
  std::vector<float> peaks_;
  float max_;
  double log_total_;
};

// Throws kBadFile naming the first logit that is no number (of the first `finite_ids` also -infinity): there is one.
[[noreturn]] void fail_not_finite(std::span<const float> logits, int64_t finite_ids, int64_t position);

}  // namespace g3n
