// Sampler: chooses the next id from logits, as HF's generate does (processor.md 8), with OpenAI's penalties and bias.
// The draw is the argmax of score / temperature + Gumbel noise per (seed, position, id): distributed as the softmax, a
// function of the logits and (seed, position), and alike for rows that are alike. Whole rows are never sorted.
#pragma once
#include <array>
#include <cstdint>
#include <limits>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "g3n/options.h"
#include "runtime/score_row.h"

namespace g3n {

struct Choice {
  int32_t id = -1;
  // With AnswerOptions::logprobs >= 0: of the model itself, the log-softmax of the whole row before everything else.
  float logprob = 0;
  bool is_likeliest = false;
  std::vector<std::pair<int32_t, float>> top;  // the likeliest ids of the row, best first, equal ones by id
};

class Sampler {
 public:
  // Ids >= choosable_ids are never chosen (no per-layer embedding: fillers and media ids). stop_ids: those in force,
  // not chosen before min_tokens. Throws kInvalidArgument.
  Sampler(const AnswerOptions& options, int64_t choosable_ids, int64_t vocab_size, std::span<const int32_t> stop_ids);

  void add_prompt(std::span<const int32_t> ids);  // for the repetition penalty

  // logits: [vocab]. position: of the token being chosen. The choice is not recorded: accept it. Throws kBadFile when
  // the logits are not finite, kInvalidArgument when every id is banned. One thread at a time, any.
  Choice choose(std::span<const float> logits, int64_t position);
  // The two halves of choose, for who changes the scores in between. row: the scores of all ids after penalties, bias
  // and bans; pick throws kInvalidArgument for scores that are NaN or +infinity.
  void adjust(std::span<const float> logits, int64_t position, std::vector<float>& row);
  Choice pick(std::span<const float> logits, std::span<const float> row, int64_t position);

  void accept(int32_t id);  // a chosen id joins the answer

 private:
  // Kept are higher scores, and of this score the ids up to last_id.
  struct Head {
    float score = -std::numeric_limits<float>::infinity();
    int32_t last_id = std::numeric_limits<int32_t>::max();
    bool keeps(float s, int32_t id) const { return s > score || (s == score && id <= last_id); }
  };
  enum class Measure { kCount, kMass };
  struct Seen {
    int32_t id;
    int32_t count;  // in the answer
  };
  static constexpr int kBins = 1024;
  struct Bins;
  struct Crossing;

  Seen* seen(int32_t id);
  bool adjusts() const;
  std::span<const float> adjusted(std::span<const float> logits, int64_t position);
  void expect_some(int64_t position) const;
  Choice choose_of(std::span<const float> logits, std::span<const float> row, int64_t position);
  void penalise();
  int32_t draw(std::span<const float> row, int64_t position);
  int32_t draw_of_few(std::span<const float> row, uint64_t key);
  int32_t draw_of_row(std::span<const float> row, const Head& head, uint64_t key) const;
  double fill_bins(std::span<const float> row, const Head& within, Measure measure, const Bins& bins);
  Crossing find_crossing(double mass, double goal) const;
  Head find_head(std::span<const float> row, const Head& within, Measure measure);
  Head cut_candidates(double mass, double goal, Measure measure);
  double gap(float score) const { return (static_cast<double>(score) - max_) * inverse_; }

  AnswerOptions options_;
  int64_t choosable_;
  double inverse_;                 // of the temperature; finite
  std::vector<int32_t> banned_;    // choosable ones
  std::vector<int32_t> stop_ids_;  // choosable ones
  std::vector<Seen> seen_;         // each id of prompt and answer once, where penalties ask for it
  std::unordered_map<int32_t, size_t> seen_at_;
  int64_t generated_ = 0;

  float max_ = 0;              // of the row at hand
  std::vector<float> scores_;  // [choosable]
  std::vector<float> peaks_;   // per block of the row
  std::vector<float> peak_order_;
  std::vector<ScoredId> candidates_;
  std::vector<double> weights_;  // of few candidates
  std::array<std::array<double, kBins + 1>, 2>
      bins_;  // even and odd ids apart: two chains of additions; the last: the rest
};

}  // namespace g3n
