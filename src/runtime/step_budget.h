// StepBudget: how many prompt rows a step may hold, so that whoever waits for a next token is not kept waiting, and how
// they are shared out among the prompts (server.md 13.3). Times decide how fast, never what.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace g3n {

class StepBudget {
 public:
  // chunk: rows while one sequence is alone. max_step_seconds: what prompt rows may add to a step otherwise.
  StepBudget(int64_t chunk, double max_step_seconds) : chunk_(chunk), max_step_seconds_(max_step_seconds) {}

  // Rows for all prompts together. alone: no other sequence runs or waits.
  int64_t rows(bool alone) const;
  // What a step took.
  void note(int64_t decode_rows, int64_t prompt_rows, double seconds);

 private:
  int64_t chunk_;
  double max_step_seconds_;
  double decode_step_seconds_ = 0, prompt_row_seconds_ = 0;  // running means; 0: not measured yet
};

// `budget` rows over prompts with `left[i]` rows each, oldest first: evenly, shortest remainder first, in eights. The
// oldest gets at least eight whatever comes.
std::vector<int64_t> share_rows(std::span<const int64_t> left, int64_t budget);

}  // namespace g3n
