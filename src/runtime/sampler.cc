#include "runtime/sampler.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <functional>
#include <string>

#include "core/rng.h"
#include "g3n/error.h"
#include "runtime/log_probabilities.h"

namespace g3n {
namespace {

constexpr size_t kFew = 1024;  // candidates that are sorted

float within_float(double x) { return static_cast<float>(std::clamp<double>(x, -FLT_MAX, FLT_MAX)); }

void check_ids(std::span<const int32_t> ids, int64_t vocab_size, const char* name) {
  for (int32_t id : ids)
    if (id < 0 || id >= vocab_size)
      throw Error(ErrorCode::kInvalidArgument, std::string(name) + ": expected ids of the vocabulary, 0.." +
                                                   std::to_string(vocab_size - 1) + ", got " + std::to_string(id));
}

}  // namespace

Sampler::Sampler(const AnswerOptions& options, int64_t choosable_ids, int64_t vocab_size,
                 std::span<const int32_t> stop_ids)
    : options_(options),
      choosable_(std::min(choosable_ids, vocab_size)),
      inverse_(std::min(1 / options.sampling.temperature, DBL_MAX)) {
  check_answer_options(options);
  check_ids(options.banned_ids, vocab_size, "banned-ids");
  for (const auto& bias : options.logit_bias) check_ids({&bias.first, 1}, vocab_size, "logit-bias");
  const auto choosable = [&](int32_t id) { return id >= 0 && id < choosable_; };
  std::erase_if(options_.logit_bias, [&](const auto& bias) { return !choosable(bias.first); });
  std::copy_if(options.banned_ids.begin(), options.banned_ids.end(), std::back_inserter(banned_), choosable);
  std::copy_if(stop_ids.begin(), stop_ids.end(), std::back_inserter(stop_ids_), choosable);
}

Sampler::Seen* Sampler::seen(int32_t id) {
  if (id < 0 || id >= choosable_) return nullptr;
  const auto [at, is_new] = seen_at_.try_emplace(id, seen_.size());
  if (is_new) seen_.push_back({id, 0});
  return &seen_[at->second];
}

void Sampler::add_prompt(std::span<const int32_t> ids) {
  if (options_.sampling.repetition_penalty == 1) return;
  for (int32_t id : ids) seen(id);
}

void Sampler::accept(int32_t id) {
  ++generated_;
  const Sampling& s = options_.sampling;
  if (s.repetition_penalty == 1 && s.presence_penalty == 0 && s.frequency_penalty == 0) return;
  if (Seen* entry = seen(id)) ++entry->count;
}

bool Sampler::adjusts() const {
  return !seen_.empty() || !options_.logit_bias.empty() || !banned_.empty() ||
         (generated_ < options_.min_tokens && !stop_ids_.empty());
}

// Penalties in double, each step kept within the range of float. HF: RepetitionPenaltyLogitsProcessor (the same
// rounding: a product or quotient of two floats).
void Sampler::penalise() {
  const Sampling& s = options_.sampling;
  const float repetition = static_cast<float>(s.repetition_penalty);
  for (const Seen& entry : seen_) {
    double score = scores_[entry.id];
    if (repetition != 1) score = within_float(score < 0 ? score * repetition : score / repetition);
    if (entry.count > 0) score = score - s.presence_penalty - s.frequency_penalty * entry.count;
    scores_[entry.id] = within_float(score);
  }
}

// The choosable scores after penalties, bias and bans. Sets peaks_ and max_.
std::span<const float> Sampler::adjusted(std::span<const float> logits, int64_t position) {
  std::span<const float> row = logits.first(std::min(static_cast<size_t>(choosable_), logits.size()));
  RowPeak peak = find_peaks(row, peaks_);
  if (!peak.finite) fail_not_finite(logits, choosable_, position);
  if (adjusts()) {
    scores_.assign(row.begin(), row.end());
    scores_.resize(static_cast<size_t>(choosable_), -INFINITY);
    penalise();
    for (const auto& [id, bias] : options_.logit_bias)
      scores_[id] = within_float(static_cast<double>(scores_[id]) + bias);
    for (int32_t id : banned_) scores_[id] = -INFINITY;
    if (generated_ < options_.min_tokens)
      for (int32_t id : stop_ids_) scores_[id] = -INFINITY;
    row = std::span<const float>(scores_).first(row.size());
    peak = find_peaks(row, peaks_);
  }
  max_ = peak.max;
  return row;
}

void Sampler::expect_some(int64_t position) const {
  if (max_ == -INFINITY)
    throw Error(ErrorCode::kInvalidArgument,
                "every id is banned: expected at least one that may be chosen at position " + std::to_string(position));
}

Choice Sampler::choose(std::span<const float> logits, int64_t position) {
  return choose_of(logits, adjusted(logits, position), position);
}

void Sampler::adjust(std::span<const float> logits, int64_t position, std::vector<float>& row) {
  row.assign(logits.begin(), logits.end());
  const std::span<const float> scores = adjusted(logits, position);
  std::copy(scores.begin(), scores.end(), row.begin());
}

Choice Sampler::pick(std::span<const float> logits, std::span<const float> row, int64_t position) {
  row = row.first(std::min(static_cast<size_t>(choosable_), row.size()));
  for (size_t id = 0; id < row.size(); ++id)
    if (!(row[id] <= FLT_MAX))
      throw Error(ErrorCode::kInvalidArgument, "the logits hook left " +
                                                   std::string(std::isnan(row[id]) ? "nan" : "inf") + " at id " +
                                                   std::to_string(id) + ", position " + std::to_string(position) +
                                                   ": expected numbers or -infinity");
  max_ = find_peaks(row, peaks_).max;
  return choose_of(logits, row, position);
}

Choice Sampler::choose_of(std::span<const float> logits, std::span<const float> row, int64_t position) {
  expect_some(position);
  Choice choice;
  if (options_.sampling.temperature == 0 || options_.sampling.top_k == 1)
    choice.id = find_likeliest(row, peaks_, max_);
  else
    choice.id = draw(row, position);
  if (options_.logprobs >= 0) {
    const LogProbabilities of_row(logits, position);
    choice.logprob = static_cast<float>(of_row.of(choice.id));
    choice.is_likeliest = choice.id == of_row.likeliest();
    choice.top = of_row.top(static_cast<size_t>(options_.logprobs));
  }
  return choice;
}

int32_t Sampler::draw(std::span<const float> row, int64_t position) {
  const Sampling& s = options_.sampling;
  const uint64_t key = noise_key(s.seed, static_cast<uint64_t>(position));
  const size_t top_k = s.top_k == 0 ? row.size() : std::min<size_t>(s.top_k, row.size());
  if (top_k <= kFew && s.top_k > 0) return draw_of_few(row, key);
  Head head;
  if (top_k < row.size()) head = find_head(row, head, Measure::kCount);
  if (s.top_p < 1) head = find_head(row, head, Measure::kMass);
  return draw_of_row(row, head, key);
}

// top_k candidates, best first: top-p and min-p shorten the list.
int32_t Sampler::draw_of_few(std::span<const float> row, uint64_t key) {
  const Sampling& s = options_.sampling;
  find_best(row, peaks_, static_cast<size_t>(s.top_k), peak_order_, candidates_);
  weights_.clear();
  double total = 0;
  for (const ScoredId& c : candidates_) total += weights_.emplace_back(std::exp(gap(c.score)));
  size_t keep = candidates_.size();
  if (s.top_p < 1) {  // the smallest head whose mass reaches top_p
    size_t count = 0;
    for (double mass = 0; count < keep && mass < s.top_p * total; ++count) mass += weights_[count];
    keep = std::max<size_t>(count, 1);
  }
  ScoredId best = candidates_[0];
  double most = -INFINITY;
  for (size_t i = 0; i < keep && weights_[i] >= s.min_p; ++i) {  // min-p: relative to the likeliest, whose weight is 1
    const double value = gap(candidates_[i].score) + gumbel_noise(noise_hash(key, candidates_[i].id));
    if (value > most || (value == most && candidates_[i].id < best.id)) most = value, best = candidates_[i];
  }
  return best.id;
}

// Among all ids of the row that are kept. An id can only win if u is high enough even for the highest score of its
// block: the hash tells, so that few ids need logarithms.
int32_t Sampler::draw_of_row(std::span<const float> row, const Head& head, uint64_t key) const {
  const double min_p = options_.sampling.min_p;
  float lowest = head.score;  // conservative, for whole blocks
  if (min_p > 0)
    lowest = std::max(lowest, std::nextafter(within_float(max_ + (std::log(min_p) - 1e-6) / inverse_), -INFINITY));
  const int64_t size = static_cast<int64_t>(row.size());
  int64_t best = find_likeliest(row, peaks_, max_);  // kept by every rule
  double most = gumbel_noise(noise_hash(key, static_cast<uint64_t>(best)));
  for (int64_t begin = 0; begin < size; begin += kScoreBlock) {
    const float peak = peaks_[static_cast<size_t>(begin / kScoreBlock)];
    const double ahead = gap(peak) - most;
    if (peak < lowest || ahead < -kMostGumbelNoise) continue;
    // It wins if -log(u) < exp(ahead); -log(u) is at least 1 - u, and 1 - u at least (hash - 2048) / 2^64.
    const double limit = std::exp(std::min(ahead, 0.0)) * 0x1p64 * (1 + 1e-9) + 4096;
    const uint64_t most_hash = limit < 0x1p64 ? static_cast<uint64_t>(limit) : UINT64_MAX;
    const int64_t end = std::min(begin + kScoreBlock, size);
    for (int64_t id = begin; id < end; ++id) {
      const uint64_t hash = noise_hash(key, static_cast<uint64_t>(id));
      if (hash > most_hash || !head.keeps(row[id], static_cast<int32_t>(id))) continue;
      const double distance = gap(row[id]);
      if (min_p > 0 && std::exp(distance) < min_p) continue;
      const double value = distance + gumbel_noise(hash);
      if (value > most || (value == most && id < best)) most = value, best = id;
    }
  }
  return static_cast<int32_t>(best);
}

// Scores from max down to max - range in kBins equal parts; what lies below has the number kBins.
struct Sampler::Bins {
  float max;
  double scale;
  Bins(float max_score, double range) : max(max_score), scale((kBins - 0.5) / std::max(range, 1e-60)) {}
  int of(float score) const {
    const double at = (static_cast<double>(max) - score) * scale;
    return static_cast<int>(at < kBins ? at : kBins);
  }
};

// The bin in which the sum reaches the goal (kBins: in none), and the sum before it.
struct Sampler::Crossing {
  int bin;
  double mass;
};

Sampler::Crossing Sampler::find_crossing(double mass, double goal) const {
  int bin = 0;
  for (; bin < kBins; ++bin) {
    const double next = mass + (bins_[0][bin] + bins_[1][bin]);
    if (next >= goal) break;
    mass = next;
  }
  return {bin, mass};
}

// bins_: what the ids of each bin weigh. Returns the sum of all.
double Sampler::fill_bins(std::span<const float> row, const Head& within, Measure measure, const Bins& bins) {
  constexpr double kVanishing = -60;  // all ids of a vocabulary together weigh less than a rounding error there
  const bool restricted = within.score > -INFINITY;
  for (auto& half : bins_) half.fill(0);
  double rest = 0;
  float padded[kScoreBlock], weights[kScoreBlock];
  int32_t at[kScoreBlock];
  for (size_t b = 0; b < peaks_.size(); ++b) {
    if (peaks_[b] < within.score || (measure == Measure::kMass && gap(peaks_[b]) < kVanishing)) continue;
    const int64_t first = static_cast<int64_t>(b) * kScoreBlock;
    const float* scores = block_scores(row, static_cast<int64_t>(b), padded);
    if (measure == Measure::kMass)
      block_weights(scores, max_, inverse_, weights);
    else
      std::fill(weights, weights + kScoreBlock, 1.0f);
    if (restricted) keep_weights(scores, within.score, static_cast<int64_t>(within.last_id) - first + 1, weights);
    if (bins.of(peaks_[b]) == kBins) {
      rest += block_sum(weights);
      continue;
    }
    block_bins(scores, bins.max, bins.scale, kBins, at);
    for (int i = 0; i < kScoreBlock; i += 2) {
      bins_[0][at[i]] += weights[i];
      bins_[1][at[i + 1]] += weights[i + 1];
    }
  }
  double total = 0;
  for (int i = 0; i <= kBins; ++i) total += bins_[0][i] + bins_[1][i];
  return total + rest;
}

// The smallest head (best first) of what `within` keeps: top_k ids, or those whose mass reaches top_p.
Sampler::Head Sampler::find_head(std::span<const float> row, const Head& within, Measure measure) {
  const Sampling& s = options_.sampling;
  double range = static_cast<double>(max_) - lowest_score(row, max_);
  // Ids that weigh less than (1 - top_p) / size of the whole weigh no more than 1 - top_p together: no head needs them.
  if (measure == Measure::kMass)
    range = std::min(range, -1.001 * std::log((1 - s.top_p) / static_cast<double>(row.size())) / inverse_);
  const Bins bins(max_, range);
  const double total = fill_bins(row, within, measure, bins);
  const double goal = measure == Measure::kMass ? s.top_p * total : s.top_k;
  const Crossing crossing = find_crossing(0, goal);
  if (crossing.bin == kBins) return within;  // top_p so near 1 that sums round to it
  // The bin's scores, by bounds that are a little wider; exactly by number.
  const float high = std::nextafter(within_float(max_ - (crossing.bin - 0.01) / bins.scale), INFINITY),
              low = std::nextafter(within_float(max_ - (crossing.bin + 1.01) / bins.scale), -INFINITY);
  candidates_.clear();
  float padded[kScoreBlock];
  for (size_t b = 0; b < peaks_.size(); ++b) {
    if (peaks_[b] < low || !any_within(block_scores(row, static_cast<int64_t>(b), padded), low, high)) continue;
    for (size_t i = b * kScoreBlock; i < std::min((b + 1) * kScoreBlock, row.size()); ++i) {
      const int32_t id = static_cast<int32_t>(i);
      if (row[i] >= low && row[i] <= high && bins.of(row[i]) == crossing.bin && within.keeps(row[i], id))
        candidates_.push_back({row[i], id});
    }
  }
  return cut_candidates(crossing.mass, goal, measure);
}

// Where the sum, `mass` before the candidates (in the order of ids), reaches the goal among them.
Sampler::Head Sampler::cut_candidates(double mass, double goal, Measure measure) {
  const auto weight = [&](float score) {
    return measure == Measure::kMass ? static_cast<double>(score_weight(score, max_, inverse_)) : 1.0;
  };
  while (candidates_.size() > kFew) {
    float low = candidates_[0].score, high = low;
    for (const ScoredId& c : candidates_) low = std::min(low, c.score), high = std::max(high, c.score);
    if (low == high) {  // in order already
      const double ids =
          std::clamp<double>(std::ceil((goal - mass) / weight(low)), 1, static_cast<double>(candidates_.size()));
      return {low, candidates_[static_cast<size_t>(ids) - 1].id};
    }
    const Bins bins(high, static_cast<double>(high) - low);
    for (auto& half : bins_) half.fill(0);
    for (size_t i = 0; i < candidates_.size(); ++i)
      bins_[i % 2][bins.of(candidates_[i].score)] += weight(candidates_[i].score);
    Crossing crossing = find_crossing(mass, goal);
    if (crossing.bin == kBins) {  // sums round differently: in the last one then
      crossing.bin = bins.of(low);
      crossing.mass -= bins_[0][crossing.bin] + bins_[1][crossing.bin];
    }
    std::erase_if(candidates_, [&](const ScoredId& c) { return bins.of(c.score) != crossing.bin; });
    mass = crossing.mass;
  }
  std::sort(candidates_.begin(), candidates_.end(), better);
  size_t last = 0;
  while ((mass += weight(candidates_[last].score)) < goal && last + 1 < candidates_.size()) ++last;
  return {candidates_[last].score, candidates_[last].id};
}

}  // namespace g3n
