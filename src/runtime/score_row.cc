#include "runtime/score_row.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <limits>

namespace g3n {
namespace {

constexpr int kLanes = 8;
constexpr float kNone = -std::numeric_limits<float>::infinity();

// exp(x) = 2^n exp(r), |r| <= ln(2) / 2, by the series to r^8. Adding 1.5 * 2^52 rounds to an integer and leaves n in
// the low bits, from where it is moved into the exponent.
inline double fast_exp(double x) {
  constexpr double kRounder = 0x1.8p52, kLog2E = 1.4426950408889634, kLn2 = 0.6931471805599453;
  x = x < -700 ? -700 : x;  // this way round, NaN stays
  const double shifted = x * kLog2E + kRounder, r = x - (shifted - kRounder) * kLn2;
  double p = 1.0 / 40320;
  p = p * r + 1.0 / 5040;
  p = p * r + 1.0 / 720;
  p = p * r + 1.0 / 120;
  p = p * r + 1.0 / 24;
  p = p * r + 1.0 / 6;
  p = p * r + 0.5;
  p = p * r + 1;
  p = p * r + 1;
  return std::bit_cast<double>(std::bit_cast<uint64_t>(p) + (std::bit_cast<uint64_t>(shifted) << 52));
}

// The same in float, to r^6; ln(2) in two parts, the first of which makes exact products.
inline float fast_exp(float x) {
  constexpr float kRounder = 0x1.8p23f, kLog2E = 1.44269504f, kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  x = x < -80 ? -80 : x;
  const float shifted = x * kLog2E + kRounder, n = shifted - kRounder, r = (x - n * kLn2High) - n * kLn2Low;
  float p = 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1;
  p = p * r + 1;
  return std::bit_cast<float>(std::bit_cast<uint32_t>(p) + (std::bit_cast<uint32_t>(shifted) << 23));
}

template <class T>
double sum_lanes(const T* weights) {
  double lanes[kLanes] = {};
  for (int i = 0; i < kScoreBlock; i += kLanes)
    for (int l = 0; l < kLanes; ++l) lanes[l] += static_cast<double>(weights[i + l]);
  return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
}

}  // namespace

const float* block_scores(std::span<const float> row, int64_t block, float* padded) {
  const int64_t begin = block * kScoreBlock, left = static_cast<int64_t>(row.size()) - begin;
  if (left >= kScoreBlock) return row.data() + begin;
  std::fill(std::copy(row.begin() + begin, row.end(), padded), padded + kScoreBlock, kNone);
  return padded;
}

RowPeak find_peaks(std::span<const float> row, std::vector<float>& peaks) {
  const int64_t blocks = score_blocks(static_cast<int64_t>(row.size()));
  peaks.resize(static_cast<size_t>(blocks));
  RowPeak out{kNone, true};
  int32_t sign = 0;  // negative as soon as a magnitude is above that of the largest float
  const auto look = [&sign](float x) { sign |= 0x7f7fffff - (std::bit_cast<int32_t>(x) & 0x7fffffff); };
  float padded[kScoreBlock], most[kScoreBlock / 2];
  for (int64_t b = 0; b < blocks; ++b) {
    const float* x = block_scores(row, b, padded);
    if (x != padded)
      for (int i = 0; i < kScoreBlock; ++i) look(x[i]);
    else
      for (float score : row.subspan(static_cast<size_t>(b * kScoreBlock))) look(score);
    for (int i = 0; i < 32; ++i) most[i] = x[i] > x[i + 32] ? x[i] : x[i + 32];
    for (int i = 0; i < 16; ++i) most[i] = most[i] > most[i + 16] ? most[i] : most[i + 16];
    for (int i = 0; i < 8; ++i) most[i] = most[i] > most[i + 8] ? most[i] : most[i + 8];
    for (int i = 0; i < 4; ++i) most[i] = most[i] > most[i + 4] ? most[i] : most[i + 4];
    const float peak = std::max(std::max(most[0], most[1]), std::max(most[2], most[3]));
    peaks[static_cast<size_t>(b)] = peak;
    out.max = std::max(out.max, peak);
  }
  out.finite = sign >= 0;
  return out;
}

void find_best(std::span<const float> row, std::span<const float> peaks, size_t count, std::vector<float>& scratch,
               std::vector<ScoredId>& best) {
  float at_least = kNone;  // no higher than the count-th best: so many blocks have a score as high
  if (count < peaks.size()) {
    scratch.assign(peaks.begin(), peaks.end());
    const auto at = scratch.begin() + static_cast<int64_t>(count) - 1;
    std::nth_element(scratch.begin(), at, scratch.end(), std::greater<>());
    at_least = *at;
  }
  best.clear();
  size_t equal = 0;
  for (size_t b = 0; b < peaks.size(); ++b) {
    if (peaks[b] < at_least) continue;
    for (size_t i = b * kScoreBlock; i < std::min((b + 1) * kScoreBlock, row.size()); ++i)
      if (row[i] > at_least || (row[i] == at_least && equal++ < count))
        best.push_back({row[i], static_cast<int32_t>(i)});
  }
  count = std::min(count, best.size());
  if (count < best.size())
    std::nth_element(best.begin(), best.begin() + static_cast<int64_t>(count), best.end(), better);
  best.resize(count);
  std::sort(best.begin(), best.end(), better);
}

int32_t find_likeliest(std::span<const float> row, std::span<const float> peaks, float max) {
  const auto block = std::find(peaks.begin(), peaks.end(), max) - peaks.begin();
  return static_cast<int32_t>(std::find(row.begin() + block * kScoreBlock, row.end(), max) - row.begin());
}

float lowest_score(std::span<const float> row, float otherwise) {
  float padded[kScoreBlock], least[kScoreBlock];
  std::fill(least, least + kScoreBlock, otherwise);
  for (int64_t b = 0; b < score_blocks(static_cast<int64_t>(row.size())); ++b) {
    const float* scores = block_scores(row, b, padded);
    for (int i = 0; i < kScoreBlock; ++i) {
      const float x = scores[i] > kNone ? scores[i] : otherwise;
      least[i] = x < least[i] ? x : least[i];
    }
  }
  return *std::min_element(least, least + kScoreBlock);
}

void block_weights(const float* scores, float max, double inverse, float* weights) {
  float x[kScoreBlock];
  for (int i = 0; i < kScoreBlock; ++i) x[i] = static_cast<float>((static_cast<double>(scores[i]) - max) * inverse);
  for (int i = 0; i < kScoreBlock; ++i) weights[i] = fast_exp(x[i]);
}

float score_weight(float score, float max, double inverse) {
  return fast_exp(static_cast<float>((static_cast<double>(score) - max) * inverse));
}

void keep_weights(const float* scores, float score, int64_t ties, float* weights) {
  const int alike = static_cast<int>(std::clamp<int64_t>(ties, 0, kScoreBlock));
  for (int i = 0; i < alike; ++i) weights[i] = scores[i] >= score ? weights[i] : 0;
  for (int i = alike; i < kScoreBlock; ++i) weights[i] = scores[i] > score ? weights[i] : 0;
}

void block_bins(const float* scores, float max, double scale, int last, int32_t* bins) {
  for (int i = 0; i < kScoreBlock; ++i) {
    const double at = (static_cast<double>(max) - scores[i]) * scale;
    bins[i] = static_cast<int32_t>(at < last ? at : last);
  }
}

bool any_within(const float* scores, float low, float high) {
  int32_t any = 0;
  for (int i = 0; i < kScoreBlock; ++i) any |= (scores[i] >= low ? 1 : 0) & (scores[i] <= high ? 1 : 0);
  return any != 0;
}

double block_sum(const float* weights) { return sum_lanes(weights); }

double sum_of_exp(std::span<const float> row, float max) {
  float padded[kScoreBlock];
  double weights[kScoreBlock], sum = 0;
  for (int64_t b = 0; b < score_blocks(static_cast<int64_t>(row.size())); ++b) {
    const float* scores = block_scores(row, b, padded);
    for (int i = 0; i < kScoreBlock; ++i) weights[i] = fast_exp(static_cast<double>(scores[i]) - max);
    sum += sum_lanes(weights);
  }
  return sum;
}

}  // namespace g3n
