// Sequence: one prompt and its answer while they run: the rows it wants next, the logits it takes, its end. It is
// stepped by the scheduler (or a test) and knows no thread, no queue and no other sequence.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "g3n/prompt.h"
#include "runtime/answer_maker.h"
#include "runtime/prefix_cache.h"
#include "runtime/prompt_scores.h"
#include "seam/language_model.h"

namespace g3n {

// Throws kInvalidArgument for a prompt of no tokens, kContextFull for one longer than the context.
void expect_room(int64_t tokens, int64_t context);

// The rows of one forward call, gathered from the sequences that take part.
struct StepRows {
  std::vector<Row> rows;
  std::vector<SequenceCache*> caches;
  std::vector<const float*> soft_tokens;
  int64_t wanted = 0;  // rows that want logits

  void clear();
  Batch batch() const { return {rows, caches, soft_tokens}; }
};

// Logits of a prompt's positions, for those who ask for them.
struct WantedLogits {
  int64_t first = 0;               // positions first, first + 1, ...
  std::vector<int64_t> positions;  // of those, only these, ascending; empty: all
  int64_t most_rows = 64;          // at once: a row is a megabyte
  // [rows, vocab] of positions `position`, position + 1, ...; may be empty.
  std::function<void(int64_t position, View<const float, 2> rows)> on_rows;
  std::shared_ptr<PromptScores> scores;  // takes each row; may be null

  bool wants(int64_t position) const;
  // Rows from `position` on that hold most_rows wanted ones.
  int64_t rows_at_once(int64_t position) const;
};

class Sequence {
 public:
  // The cache holds the first cache->length() positions of the prompt; at least one is not there yet. answer may be
  // null: the sequence then ends with its prompt. Throws kInvalidArgument for an empty prompt, kContextFull with both
  // numbers.
  Sequence(std::shared_ptr<const PreparedPrompt> prompt, std::unique_ptr<SequenceCache> cache,
           std::unique_ptr<AnswerMaker> answer, std::optional<WantedLogits> logits, EventSink* sink);

  bool done() const { return done_; }
  // Rows that are still to come before it decodes; 0: it decodes.
  int64_t prompt_rows() const;
  int64_t prompt_tokens() const { return tokens_; }
  int64_t position() const { return position_; }  // the next to be computed
  TokensView tokens() const { return {ids_, prompt_->soft}; }
  // At most this many rows at once, whatever the budget: rows of logits are a megabyte each.
  int64_t most_rows() const;

  // Adds the next rows to a step: up to `budget` of the prompt, or the last token.
  void want(StepRows& step, int64_t budget);
  // Rows of the last want whose logits are wanted.
  int64_t wanted() const { return static_cast<int64_t>(wanted_.size()); }
  // logits: [vocab] of wanted row `index`, and [wanted(), vocab]. choose runs on any thread, for several rows at once;
  // accept commits the rows, tells the sink, and may end it. Throws what ends this sequence alone (logits that are no
  // numbers).
  void choose(int64_t index, std::span<const float> logits) noexcept;
  void accept(View<const float, 2> logits);

  // Whether its last row is with a hook, and whether it is back: then go_on, which chooses from it and may end it.
  // Throws as accept.
  bool is_with_hook() const { return answer_ && answer_->is_with_hook(); }
  bool is_hook_done() const { return answer_ && answer_->is_hook_done(); }
  void go_on();
  // ---- its cache and that of others ----
  // Null while it pauses: it then takes part in no step.
  const SequenceCache* cache() const { return cache_.get(); }
  std::unique_ptr<SequenceCache> take_cache() { return std::move(cache_); }
  // Goes on with another cache that holds a beginning of its tokens: what is missing is computed again, told to nobody.
  void resume(std::unique_ptr<SequenceCache> cache);
  // The first `position` tokens are to be had from its cache while it runs, or else to be forked off before the step
  // that would lose them.
  void keep_at(int64_t position);
  // Positions that are computed and that a step of `rows` rows would lose; they are forgotten here.
  std::vector<int64_t> lost_by(int64_t rows);

  // Whether a token has been chosen: a cancelled answer then keeps what is there.
  bool has_begun() const { return answer_ && answer_->has_begun(); }
  Answer finish(FinishReason reason);

 private:
  bool is_asked_for(int64_t position) const;  // by logits_, for the first time
  bool wants_logits(int64_t position) const;
  void accept_choice();
  void hand_on(View<const float, 2> logits) const;
  int64_t rows_left() const { return static_cast<int64_t>(ids_.size()) - position_; }

  std::shared_ptr<const PreparedPrompt> prompt_;
  std::unique_ptr<SequenceCache> cache_;
  std::unique_ptr<AnswerMaker> answer_;
  std::optional<WantedLogits> logits_;
  EventSink* sink_;
  std::vector<int32_t> ids_;           // of the prompt, and of the answer so far
  int64_t tokens_, start_, position_;  // of the prompt; first computed; next
  int64_t context_;
  int64_t told_;                  // positions before it are known to the sink
  std::vector<int64_t> keep_at_;  // ascending
  size_t span_ = 0;               // of prompt_->soft: the first that does not end before position_
  int64_t rows_ = 0;              // of the last want
  std::vector<int64_t> wanted_;   // positions of it whose logits are wanted
  bool done_ = false;
};

}  // namespace g3n
