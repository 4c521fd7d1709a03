#include "runtime/answer_maker.h"

#include <algorithm>

#include "g3n/error.h"

namespace g3n {

AnswerMaker::AnswerMaker(const AnswerOptions& options, std::vector<int32_t> stop_ids, const Tokenizer* tokenizer,
                         int64_t choosable_ids, int64_t vocab_size, EventSink* sink)
    : sampler_(options, choosable_ids, vocab_size, stop_ids),
      stop_ids_(std::move(stop_ids)),
      stops_(options.stop),
      sink_(sink),
      most_(options.max_tokens < 0 ? INT64_MAX : options.max_tokens),
      wants_logprobs_(options.logprobs >= 0) {
  answer_.seed = options.sampling.seed;
  if (tokenizer)
    decoder_.emplace(*tokenizer);
  else if (!options.stop.empty())
    throw Error(ErrorCode::kUnsupported, "stop strings need a tokenizer, which this checkpoint lacks");
}

void AnswerMaker::add_prompt(std::span<const int32_t> ids) {
  sampler_.add_prompt(ids);
  if (hook_) ids_.assign(ids.begin(), ids.end());
}

void AnswerMaker::choose(std::span<const float> logits, int64_t position) noexcept {
  try {
    if (hook_)
      ask_hook(logits, position);
    else
      choice_ = sampler_.choose(logits, position);
  } catch (...) {
    problem_ = std::current_exception();
  }
}

void AnswerMaker::ask_hook(std::span<const float> logits, int64_t position) {
  position_ = position;
  if (wants_logprobs_) logits_.assign(logits.begin(), logits.end());
  std::vector<float> row;
  sampler_.adjust(logits, position, row);
  hook_->put(ids_, std::move(row));
  is_with_hook_ = true;
}

void AnswerMaker::choose_hooked() noexcept {
  is_with_hook_ = false;
  try {
    choice_ = sampler_.pick(logits_, hook_->take(), position_);
  } catch (...) {
    problem_ = std::current_exception();
  }
}

bool AnswerMaker::accept() {
  if (problem_) std::rethrow_exception(problem_);
  const int32_t id = choice_.id;
  sampler_.accept(id);
  answer_.ids.push_back(id);
  if (hook_) ids_.push_back(id);
  if (sink_) sink_->on_token(id);
  if (wants_logprobs_) {
    answer_.logprobs.push_back({id, choice_.logprob, choice_.is_likeliest, std::move(choice_.top)});
    if (sink_) sink_->on_logprobs(answer_.logprobs.back());
  }
  const bool is_stop_id = std::find(stop_ids_.begin(), stop_ids_.end(), id) != stop_ids_.end();
  if (!is_stop_id && decoder_) show(stops_.push(decoder_->push(id)));
  stopped_ = is_stop_id || stops_.stopped();
  return !stopped_ && wants_more();
}

void AnswerMaker::show(const std::string& text) {
  if (text.empty()) return;
  answer_.text += text;
  if (sink_) sink_->on_text(text);
}

Answer AnswerMaker::finish(FinishReason reason) {
  if (decoder_) {
    show(stops_.push(decoder_->flush()));
    show(stops_.finish());
  }
  answer_.stop = stops_.found();
  answer_.finish_reason = stopped_ || stops_.stopped() ? FinishReason::kStop : reason;
  return std::move(answer_);
}

}  // namespace g3n
