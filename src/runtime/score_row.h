// Passes over a row of scores, block by block: the arithmetic of the sampler. Plain loops that compilers turn into
// SIMD; each sum has one order, so results do not depend on the instruction set.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace g3n {

constexpr int64_t kScoreBlock = 64;
constexpr int64_t score_blocks(int64_t scores) { return (scores + kScoreBlock - 1) / kScoreBlock; }

struct RowPeak {
  float max;    // NaN is passed over
  bool finite;  // all of them
};
// The highest score of each block, and of the row.
RowPeak find_peaks(std::span<const float> row, std::vector<float>& peaks);

struct ScoredId {
  float score;
  int32_t id;
};
// Higher score first, then the lower id: as a stable descending sort.
constexpr bool better(const ScoredId& a, const ScoredId& b) {
  return a.score != b.score ? a.score > b.score : a.id < b.id;
}
// The `count` best ids of the row, best first. peaks: of find_peaks. scratch: any.
void find_best(std::span<const float> row, std::span<const float> peaks, size_t count, std::vector<float>& scratch,
               std::vector<ScoredId>& best);
// The first id of the row's highest score.
int32_t find_likeliest(std::span<const float> row, std::span<const float> peaks, float max);

// The lowest score that is not -infinity; `otherwise` if there is none.
float lowest_score(std::span<const float> row, float otherwise);

// 64 scores: a block of the row, or a copy in `padded` whose missing scores are -infinity.
const float* block_scores(std::span<const float> row, int64_t block, float* padded);

// exp((score - max) * inverse) of a block: exact arguments rounded to float, then to 3e-7 of its value; exp(-80) is the
// least.
void block_weights(const float* scores, float max, double inverse, float* weights);
float score_weight(float score, float max, double inverse);  // the same of one score

// Makes the weights 0 but those of higher scores than `score`, and of scores like it among the first `ties`.
void keep_weights(const float* scores, float score, int64_t ties, float* weights);

// (max - score) * scale of a block, cut off to an integer of at most `last`.
void block_bins(const float* scores, float max, double scale, int last, int32_t* bins);

// Whether a score of a block lies in [low, high].
bool any_within(const float* scores, float low, float high);

double block_sum(const float* weights);

// Sum of exp(score - max) over the row, each to 3e-10; NaN if one is NaN.
double sum_of_exp(std::span<const float> row, float max);

}  // namespace g3n
