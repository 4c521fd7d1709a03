#include "runtime/sequence.h"

#include <algorithm>
#include <string>

#include "g3n/error.h"

namespace g3n {

void expect_room(int64_t tokens, int64_t context) {
  if (tokens == 0) throw Error(ErrorCode::kInvalidArgument, "the prompt is empty: expected at least one token");
  if (tokens > context)
    throw Error(ErrorCode::kContextFull, "the prompt has " + std::to_string(tokens) +
                                             " tokens, the context has room for " + std::to_string(context));
}

void StepRows::clear() {
  rows.clear();
  caches.clear();
  soft_tokens.clear();
  wanted = 0;
}

Sequence::Sequence(std::shared_ptr<const PreparedPrompt> prompt, std::unique_ptr<SequenceCache> cache,
                   std::unique_ptr<AnswerMaker> answer, std::optional<WantedLogits> logits, EventSink* sink)
    : prompt_(std::move(prompt)),
      cache_(std::move(cache)),
      answer_(std::move(answer)),
      logits_(std::move(logits)),
      sink_(sink),
      tokens_(static_cast<int64_t>(prompt_->ids.size())),
      start_(cache_->length()),
      position_(start_) {
  expect_room(tokens_, cache_->context());
  if (start_ >= tokens_) throw Error(ErrorCode::kInternal, "a sequence without a position to compute");
  if (answer_) answer_->add_prompt(prompt_->ids);
}

bool Sequence::wants_logits(int64_t position) const {
  return (logits_ && position >= logits_->first) || (answer_ && position + 1 == tokens_);
}

int64_t Sequence::most_rows() const {
  if (!logits_ || position_ >= tokens_) return INT64_MAX;
  return position_ < logits_->first ? logits_->first - position_ : logits_->most_rows;
}

void Sequence::want(StepRows& step, int64_t budget) {
  const int32_t index = static_cast<int32_t>(step.caches.size());
  step.caches.push_back(cache_.get());
  rows_ = 1, wanted_ = 0;
  if (position_ >= tokens_) {
    step.rows.push_back({.sequence = index,
                         .position = static_cast<int32_t>(position_),
                         .id = answer_->last_id(),
                         .wants_logits = true});
    step.wanted += wanted_ = 1;
    return;
  }
  rows_ = std::min({budget, most_rows(), tokens_ - position_});
  const std::vector<SoftSpan>& spans = prompt_->soft;
  while (span_ < spans.size() && spans[span_].first + spans[span_].count <= position_) ++span_;
  size_t at = span_;  // a step may be repeated: span_ stays at position_
  for (int64_t p = position_; p < position_ + rows_; ++p) {
    Row row{.sequence = index, .position = static_cast<int32_t>(p), .id = prompt_->ids[static_cast<size_t>(p)]};
    while (at < spans.size() && spans[at].first + spans[at].count <= p) ++at;
    if (at < spans.size() && spans[at].first <= p) {
      const SoftSpan& span = spans[at];
      const int64_t hidden = static_cast<int64_t>(span.tokens->values.size()) / span.tokens->rows;
      row.soft_token = static_cast<int32_t>(step.soft_tokens.size());
      step.soft_tokens.push_back(span.tokens->values.data() + (span.row + p - span.first) * hidden);
    }
    row.wants_logits = wants_logits(p);
    wanted_ += row.wants_logits;
    step.rows.push_back(row);
  }
  step.wanted += wanted_;
}

void Sequence::choose(View<const float, 2> logits) noexcept {
  const bool is_last = position_ + rows_ >= tokens_;
  if (answer_ && is_last && answer_->wants_more())
    answer_->choose({logits.row(wanted_ - 1), static_cast<size_t>(logits.dim[1])}, position_ + rows_);
}

void Sequence::accept(View<const float, 2> logits) {
  const bool is_prompt = position_ < tokens_;
  cache_->commit(rows_);
  position_ += rows_;
  if (is_prompt && sink_) sink_->on_prefill(position_ - start_, tokens_ - start_);
  if (is_prompt && logits_ && logits_->on_rows && wanted_ > 0 && position_ > logits_->first)
    logits_->on_rows(position_ - wanted_, logits);
  if (position_ < tokens_) return;
  done_ = !answer_ || !answer_->wants_more() || !answer_->accept() || cache_->length() == cache_->context();
}

Answer Sequence::finish(FinishReason reason) {
  done_ = true;
  Answer answer = answer_ ? answer_->finish(reason) : Answer{};
  answer.prompt_tokens = tokens_;
  answer.timings.prefilled_tokens = tokens_ - start_;
  return answer;
}

}  // namespace g3n
