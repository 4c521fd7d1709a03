#include "runtime/prompt_scores.h"

#include <algorithm>
#include <cmath>

#include "runtime/log_probabilities.h"

namespace g3n {

PromptScores::PromptScores(int64_t first, int top, std::vector<int32_t> last_ids)
    : first_(first), top_(top), last_ids_(std::move(last_ids)) {}

void PromptScores::start(std::span<const int32_t> ids) {
  ids_ = ids;
  const size_t inner = static_cast<size_t>(std::max<int64_t>(static_cast<int64_t>(ids.size()) - 1 - first_, 0));
  scores_.assign(inner + last_ids_.size(), {});
}

void PromptScores::take(int64_t position, std::span<const float> row) noexcept {
  try {
    const size_t next = static_cast<size_t>(position) + 1;
    const std::span<const int32_t> asked = next < ids_.size() ? ids_.subspan(next, 1) : std::span(last_ids_);
    if (asked.empty()) return;
    const LogProbabilities of_row(row, position);
    const auto top = of_row.top(static_cast<size_t>(top_));
    const int32_t likeliest = of_row.likeliest();
    const size_t slot = next - 1 - static_cast<size_t>(first_);
    for (size_t i = 0; i < asked.size(); ++i) {
      const bool is_of_row = static_cast<size_t>(asked[i]) < row.size();  // a mark of a medium need not be
      scores_[slot + i] = {.id = asked[i],
                           .logprob = is_of_row ? static_cast<float>(of_row.of(asked[i])) : -INFINITY,
                           .is_likeliest = asked[i] == likeliest,
                           .top = top};
    }
  } catch (...) {
    std::lock_guard lock(mutex_);
    problem_ = std::current_exception();
  }
}

void PromptScores::check() const {
  std::lock_guard lock(mutex_);
  if (problem_) std::rethrow_exception(problem_);
}

}  // namespace g3n
