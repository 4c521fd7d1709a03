// AnswerMaker: what one row of logits after the other becomes: ids, text, events, and the end of the answer.
#pragma once
#include <cstdint>
#include <exception>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "g3n/engine.h"
#include "runtime/hook_thread.h"
#include "runtime/sampler.h"
#include "runtime/stop.h"
#include "tokenizer/stream_decoder.h"

namespace g3n {

class Tokenizer;

class AnswerMaker {
 public:
  // tokenizer may be null: the answer then has ids and no text. stop_ids: all that are in force. sink may be null.
  // Throws kInvalidArgument, kUnsupported (stop strings without a tokenizer).
  AnswerMaker(const AnswerOptions& options, std::vector<int32_t> stop_ids, const Tokenizer* tokenizer,
              int64_t choosable_ids, int64_t vocab_size, EventSink* sink);
  AnswerMaker(const AnswerMaker&) = delete;
  AnswerMaker& operator=(const AnswerMaker&) = delete;

  // Rows go to the hook before an id is chosen.
  void use_hook(std::shared_ptr<HookThread> hook) { hook_ = std::move(hook); }
  void add_prompt(std::span<const int32_t> ids);
  bool wants_more() const { return static_cast<int64_t>(answer_.ids.size()) < most_; }

  // Samples the id at `position` from its logits, [vocab]; nothing is told yet. Any thread, one at a time.
  void choose(std::span<const float> logits, int64_t position) noexcept;
  // Whether the row of the last choose is with the hook, and whether it has come back: then choose_hooked.
  bool is_with_hook() const { return is_with_hook_; }
  bool is_hook_done() const { return is_with_hook_ && hook_->is_done(); }
  void choose_hooked() noexcept;
  // Takes the chosen id into the answer and tells the sink. Whether the answer goes on. Throws what choose met.
  bool accept();
  int32_t last_id() const { return answer_.ids.back(); }
  bool has_begun() const { return !answer_.ids.empty(); }

  // The end: held-back text is told. The reason counts only if no stop ended the answer.
  Answer finish(FinishReason reason);

 private:
  void show(const std::string& text);
  void ask_hook(std::span<const float> logits, int64_t position);

  Sampler sampler_;
  std::vector<int32_t> stop_ids_;
  std::optional<StreamDecoder> decoder_;
  StopDetector stops_;
  EventSink* sink_;
  int64_t most_;
  bool wants_logprobs_, stopped_ = false;
  Choice choice_;
  std::exception_ptr problem_;
  std::shared_ptr<HookThread> hook_;  // null: none
  bool is_with_hook_ = false;
  int64_t position_ = 0;       // of the row that is with it
  std::vector<int32_t> ids_;   // of prompt and answer, for the hook
  std::vector<float> logits_;  // the row as it was, for log-probabilities
  Answer answer_;
};

}  // namespace g3n
