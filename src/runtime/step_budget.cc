#include "runtime/step_budget.h"

#include <algorithm>
#include <numeric>

namespace g3n {
namespace {

constexpr int64_t kEight = 8;
constexpr int64_t kUnmeasuredRows = 32;
constexpr double kNew = 0.25;  // weight of the last step in a running mean

void mix(double& mean, double value) { mean = mean == 0 ? value : mean + kNew * (value - mean); }

}  // namespace

int64_t StepBudget::rows(bool alone) const {
  if (alone) return chunk_;
  const double wanted =
      prompt_row_seconds_ > 0 ? max_step_seconds_ / prompt_row_seconds_ : static_cast<double>(kUnmeasuredRows);
  const int64_t most = std::max(chunk_, kEight);
  const int64_t rows = wanted >= static_cast<double>(most) ? most : static_cast<int64_t>(wanted);
  return std::max(rows / kEight * kEight, kEight);
}

// Weights are read once however many rows there are: that part belongs to the decoding rows, where there are any.
void StepBudget::note(int64_t decode_rows, int64_t prompt_rows, double seconds) {
  if (prompt_rows == 0) {
    mix(decode_step_seconds_, seconds);
    return;
  }
  const double added = decode_rows > 0 ? std::max(seconds - decode_step_seconds_, 0.0) : seconds;
  if (prompt_rows >= kEight && added > 0) mix(prompt_row_seconds_, added / static_cast<double>(prompt_rows));
}

std::vector<int64_t> share_rows(std::span<const int64_t> left, int64_t budget) {
  std::vector<int64_t> shares(left.size(), 0);
  if (left.empty()) return shares;
  shares[0] = std::min({left[0], kEight, budget});
  budget -= shares[0];
  std::vector<size_t> order(left.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return left[a] < left[b]; });
  int64_t waiting = static_cast<int64_t>(order.size());
  for (const size_t i : order) {
    const int64_t even = budget / waiting-- / kEight * kEight;
    const int64_t share = std::min(left[i] - shares[i], std::max(even, std::min(budget, kEight)));
    if (share <= 0) continue;
    shares[i] += share;
    budget -= share;
  }
  return shares;
}

}  // namespace g3n
