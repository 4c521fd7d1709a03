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
      ids_(prompt_->ids),
      tokens_(static_cast<int64_t>(ids_.size())),
      start_(cache_->length()),
      position_(start_),
      context_(cache_->context()),
      told_(start_) {
  expect_room(tokens_, context_);
  if (start_ >= tokens_) throw Error(ErrorCode::kInternal, "a sequence without a position to compute");
  if (answer_) answer_->add_prompt(prompt_->ids);
  if (logits_ && logits_->scores) logits_->scores->start(prompt_->ids);
}

bool WantedLogits::wants(int64_t position) const {
  if (position < first) return false;
  return positions.empty() || std::binary_search(positions.begin(), positions.end(), position);
}

int64_t WantedLogits::rows_at_once(int64_t position) const {
  if (positions.empty()) return std::max<int64_t>(first - position, 0) + most_rows;
  const int64_t next = std::lower_bound(positions.begin(), positions.end(), position) - positions.begin();
  const int64_t last = next + most_rows, count = static_cast<int64_t>(positions.size());
  return last >= count ? INT64_MAX : positions[static_cast<size_t>(last)] - position;
}

int64_t Sequence::prompt_rows() const { return position_ < tokens_ || rows_left() > 1 ? rows_left() : 0; }

bool Sequence::is_asked_for(int64_t position) const {
  return logits_ && position >= told_ && position < tokens_ && logits_->wants(position);
}

bool Sequence::wants_logits(int64_t position) const {
  if (is_asked_for(position)) return true;
  return answer_ && position + 1 == static_cast<int64_t>(ids_.size());
}

int64_t Sequence::most_rows() const {
  if (!logits_ || position_ >= tokens_) return INT64_MAX;
  return logits_->rows_at_once(position_);
}

void Sequence::want(StepRows& step, int64_t budget) {
  const int32_t index = static_cast<int32_t>(step.caches.size());
  step.caches.push_back(cache_.get());
  rows_ = std::min({budget, most_rows(), rows_left()});
  wanted_.clear();
  for (const int64_t at : keep_at_)  // a step ends where the next one would lose what is to be kept
    if (at > position_ && at < position_ + rows_ && !cache_->stays_resumable(at, position_ + rows_))
      rows_ = at - position_;
  const std::vector<SoftSpan>& spans = prompt_->soft;
  while (span_ < spans.size() && spans[span_].first + spans[span_].count <= position_) ++span_;
  size_t at = span_;  // a step may be repeated: span_ stays at position_
  for (int64_t p = position_; p < position_ + rows_; ++p) {
    Row row{.sequence = index, .position = static_cast<int32_t>(p), .id = ids_[static_cast<size_t>(p)]};
    while (at < spans.size() && spans[at].first + spans[at].count <= p) ++at;
    if (at < spans.size() && spans[at].first <= p) {
      const SoftSpan& span = spans[at];
      const int64_t hidden = static_cast<int64_t>(span.tokens->values.size()) / span.tokens->rows;
      row.soft_token = static_cast<int32_t>(step.soft_tokens.size());
      step.soft_tokens.push_back(span.tokens->values.data() + (span.row + p - span.first) * hidden);
    }
    row.wants_logits = wants_logits(p);
    if (row.wants_logits) wanted_.push_back(p);
    step.rows.push_back(row);
  }
  step.wanted += wanted();
}

void Sequence::choose(int64_t index, std::span<const float> logits) noexcept {
  const int64_t position = wanted_[static_cast<size_t>(index)];
  if (logits_ && logits_->scores && is_asked_for(position)) logits_->scores->take(position, logits);
  if (answer_ && position + 1 == static_cast<int64_t>(ids_.size()) && answer_->wants_more())
    answer_->choose(logits, position + 1);
}

// The rows that somebody asked for, run by run of adjacent positions.
void Sequence::hand_on(View<const float, 2> logits) const {
  for (size_t from = 0, to = 0; from < wanted_.size(); from = to) {
    to = from + 1;
    if (!is_asked_for(wanted_[from])) continue;
    while (to < wanted_.size() && wanted_[to] == wanted_[to - 1] + 1 && is_asked_for(wanted_[to])) ++to;
    logits_->on_rows(wanted_[from],
                     {logits.row(static_cast<int64_t>(from)), {static_cast<int64_t>(to - from), logits.dim[1]}});
  }
}

void Sequence::accept(View<const float, 2> logits) {
  cache_->commit(rows_);
  position_ += rows_;
  if (told_ < tokens_ && position_ > told_) {  // of the prompt, and for the first time
    if (sink_) sink_->on_prefill(position_ - start_, tokens_ - start_);
    if (logits_ && logits_->scores) {
      logits_->scores->check();
      if (sink_ && position_ >= tokens_) sink_->on_prompt_logprobs(logits_->scores->scores());
    }
    if (logits_ && logits_->on_rows) hand_on(logits);
  }
  told_ = std::max(told_, position_);
  if (rows_left() == 0 && !is_with_hook()) accept_choice();
}

void Sequence::go_on() {
  answer_->choose_hooked();
  accept_choice();
}

void Sequence::accept_choice() {
  const bool is_full = static_cast<int64_t>(ids_.size()) == context_;
  done_ = !answer_ || !answer_->wants_more() || !answer_->accept() || is_full;
  if (!done_) ids_.push_back(answer_->last_id());
}

void Sequence::resume(std::unique_ptr<SequenceCache> cache) {
  cache_ = std::move(cache);
  position_ = cache_->length();
  span_ = 0;
  if (rows_left() < 1) throw Error(ErrorCode::kInternal, "a sequence without a position to compute");
}

void Sequence::keep_at(int64_t position) {
  const auto place = std::lower_bound(keep_at_.begin(), keep_at_.end(), position);
  if (position > 0 && (place == keep_at_.end() || *place != position)) keep_at_.insert(place, position);
}

std::vector<int64_t> Sequence::lost_by(int64_t rows) {
  std::vector<int64_t> lost;
  std::erase_if(keep_at_, [&](int64_t at) {
    if (at > position_ || cache_->stays_resumable(at, position_ + rows)) return false;
    if (cache_->resumable(at)) lost.push_back(at);
    return true;
  });
  return lost;
}

Answer Sequence::finish(FinishReason reason) {
  done_ = true;
  Answer answer = answer_ ? answer_->finish(reason) : Answer{};
  if (logits_ && logits_->scores) answer.prompt_logprobs = logits_->scores->finish();
  answer.prompt_tokens = tokens_;
  answer.timings.prefilled_tokens = tokens_ - start_;
  return answer;
}

}  // namespace g3n
