#include "runtime/sampler.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/rng.h"
#include "g3n/error.h"

namespace g3n {
namespace {

// Higher score first, then the lower id: as a stable descending sort.
bool better(const std::pair<float, int32_t>& a, const std::pair<float, int32_t>& b) {
  return a.first != b.first ? a.first > b.first : a.second < b.second;
}

}  // namespace

Sampler::Sampler(const Sampling& sampling, int64_t choosable_ids) : sampling_(sampling), choosable_(choosable_ids) {
  check_sampling(sampling);
}

int32_t Sampler::choose(std::span<const float> logits, std::span<const int32_t> history, int64_t position) {
  scores_.assign(logits.begin(), logits.begin() + std::min<int64_t>(choosable_, static_cast<int64_t>(logits.size())));
  if (sampling_.repetition_penalty != 1.0) penalise(history);
  if (sampling_.temperature == 0 || sampling_.top_k == 1)
    return static_cast<int32_t>(std::max_element(scores_.begin(), scores_.end()) - scores_.begin());
  return draw(position);
}

// Each id that occurred is made less likely once. HF: RepetitionPenaltyLogitsProcessor.
void Sampler::penalise(std::span<const int32_t> history) {
  std::vector<int32_t> ids(history.begin(), history.end());
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  const float penalty = static_cast<float>(sampling_.repetition_penalty);
  for (int32_t id : ids) {
    if (id < 0 || id >= static_cast<int64_t>(scores_.size())) continue;
    scores_[id] = scores_[id] < 0 ? scores_[id] * penalty : scores_[id] / penalty;
  }
}

int32_t Sampler::draw(int64_t position) {
  const size_t n = scores_.size();
  candidates_.resize(n);
  for (size_t i = 0; i < n; ++i)
    candidates_[i] = {static_cast<float>(scores_[i] / sampling_.temperature), static_cast<int32_t>(i)};
  size_t keep = sampling_.top_k > 0 ? std::min<size_t>(sampling_.top_k, n) : n;
  std::partial_sort(candidates_.begin(), candidates_.begin() + keep, candidates_.end(), better);
  candidates_.resize(keep);
  std::vector<double> weight(keep);
  double total = 0;
  for (size_t i = 0; i < keep; ++i)
    total += weight[i] = std::exp(static_cast<double>(candidates_[i].first) - candidates_[0].first);
  if (sampling_.top_p < 1) {  // the smallest head whose mass reaches top_p
    double mass = 0;
    size_t count = 0;
    while (count < keep && mass < sampling_.top_p * total) mass += weight[count++];
    keep = std::max<size_t>(count, 1);
    total = mass > 0 ? mass : weight[0];
  }
  if (sampling_.min_p > 0) {  // at least min_p times the likeliest
    size_t count = 1;
    double mass = weight[0];
    while (count < keep && weight[count] >= sampling_.min_p * weight[0]) mass += weight[count++];
    keep = count, total = mass;
  }
  double at = uniform01(sampling_.seed, static_cast<uint64_t>(position)) * total;
  for (size_t i = 0; i + 1 < keep; ++i) {
    at -= weight[i];
    if (at < 0) return candidates_[i].second;
  }
  return candidates_[keep - 1].second;
}

}  // namespace g3n
