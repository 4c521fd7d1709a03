// PromptScores: what the rows of a prompt say about the ids that came next. Each row is reduced to a few numbers where
// it is made, on the model's threads; none is kept.
#pragma once
#include <cstdint>
#include <exception>
#include <mutex>
#include <span>
#include <vector>

#include "g3n/engine.h"

namespace g3n {

class PromptScores {
 public:
  // Of rows first, first + 1, ...; top: the likeliest ids beside each. last_ids: what is asked of the last row, behind
  // which no id of the prompt comes.
  PromptScores(int64_t first, int top, std::vector<int32_t> last_ids = {});

  // In front of everything: the prompt, which outlives this.
  void start(std::span<const int32_t> ids);
  // Any thread, several at once, each position once.
  void take(int64_t position, std::span<const float> row) noexcept;
  // Throws what a row met (logits that are no numbers).
  void check() const;
  const std::vector<TokenLogprob>& scores() const { return scores_; }  // behind the last row
  // One per row, and one per last id.
  std::vector<TokenLogprob> finish() { return std::move(scores_); }

 private:
  int64_t first_;
  int top_;
  std::vector<int32_t> last_ids_;
  std::span<const int32_t> ids_;
  std::vector<TokenLogprob> scores_;
  mutable std::mutex mutex_;  // over problem_
  std::exception_ptr problem_;
};

}  // namespace g3n
