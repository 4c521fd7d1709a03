#include "runtime/log_probabilities.h"

#include <cfloat>
#include <cmath>
#include <string>

#include "g3n/error.h"
#include "runtime/score_row.h"

namespace g3n {

void fail_not_finite(std::span<const float> logits, int64_t finite_ids, int64_t position) {
  size_t id = 0;
  const size_t finite = static_cast<size_t>(finite_ids);
  while (id < finite ? std::isfinite(logits[id]) : !std::isnan(logits[id]) && logits[id] <= FLT_MAX) ++id;
  const char* value = std::isnan(logits[id]) ? "nan" : logits[id] > 0 ? "inf" : "-inf";
  throw Error(ErrorCode::kBadFile, "the logits of position " + std::to_string(position) + " are not finite (" + value +
                                       " at id " + std::to_string(id) +
                                       "): the weights or the file are damaged; `g3n trace` shows the first tap that "
                                       "is not");
}

LogProbabilities::LogProbabilities(std::span<const float> row, int64_t position)
    : row_(row), max_(find_peaks(row, peaks_).max) {
  const double total = sum_of_exp(row, max_);
  if (!std::isfinite(total)) fail_not_finite(row, max_ == -INFINITY ? 1 : 0, position);
  log_total_ = std::log(total);
}

int32_t LogProbabilities::likeliest() const { return find_likeliest(row_, peaks_, max_); }

std::vector<std::pair<int32_t, float>> LogProbabilities::top(size_t count) const {
  std::vector<std::pair<int32_t, float>> out;
  if (count == 0) return out;
  std::vector<float> scratch;
  std::vector<ScoredId> best;
  find_best(row_, peaks_, count, scratch, best);
  for (const ScoredId& b : best) out.emplace_back(b.id, static_cast<float>(of(b.id)));
  return out;
}

}  // namespace g3n
