#include "server/generation.h"

#include <algorithm>
#include <utility>

#include "core/printable.h"
#include "server/sampling_fields.h"
#include "server/sse.h"
#include "server/token_bytes.h"

namespace g3n::server {

class Generation::Sink : public EventSink {
 public:
  Sink(std::shared_ptr<Generation> generation, std::size_t index) : generation_(std::move(generation)), index_(index) {}

  void on_queue(std::int64_t) override { tell(Stage::kQueued); }
  void on_media(std::int64_t, std::int64_t) override { tell(Stage::kEncoding); }
  void on_prefill(std::int64_t done, std::int64_t total) override {
    const std::int64_t cached = generation_->prompt_tokens_ - total;  // which the library does not count
    tell(Stage::kPrefill, cached + done, cached);
  }
  void on_token(std::int32_t) override {
    bool is_first = false;
    {
      std::lock_guard lock(generation_->mutex_);
      is_first = std::exchange(generation_->stage_, Stage::kDecode) != Stage::kDecode;
    }
    const auto now = Call::Clock::now();
    const auto seconds_since = [&](Call::Clock::time_point then) {
      return std::chrono::duration<double>(now - then).count();
    };
    Metrics& metrics = generation_->call_->service.metrics;
    if (is_first) metrics.observe("g3n_time_to_first_token_seconds", "", seconds_since(generation_->call_->start));
    if (last_token_) metrics.observe("g3n_inter_token_seconds", "", seconds_since(*last_token_));
    last_token_ = now;
  }
  void on_prompt_logprobs(std::span<const TokenLogprob> tokens) override {
    if (!generation_->request_.is_stream) return;
    {
      std::lock_guard lock(generation_->mutex_);
      generation_->choices_[index_].prompt.emplace(tokens.begin(), tokens.end());
      generation_->count_event();
    }
    generation_->on_event();
  }
  void on_logprobs(const TokenLogprob& token) override {
    const Engine& engine = generation_->call_->service.engine();
    TokenEntry entry = token_entry(engine, token);
    const bool is_control = entry.bytes.empty();
    if (is_control && !generation_->request_.has_all_entries) return;
    std::lock_guard lock(generation_->mutex_);
    Choice& choice = generation_->choices_[index_];
    if (is_control)
      entry.bytes = token_text(engine, token.id);
    else
      choice.token_bytes += static_cast<std::int64_t>(entry.bytes.size());
    choice.pending.emplace_back(choice.token_bytes, std::move(entry));
  }
  void on_text(std::string_view text) override {
    {
      std::lock_guard lock(generation_->mutex_);
      Choice& choice = generation_->choices_[index_];
      choice.text += text;
      choice.told_bytes += static_cast<std::int64_t>(text.size());
      generation_->count_event();
      release(choice, choice.told_bytes);
    }
    generation_->on_event();
  }
  void on_finish(const Answer& answer) override {
    if (answer.finish_reason == FinishReason::kLength || generation_->request_.has_all_entries) {
      std::lock_guard lock(generation_->mutex_);
      release(generation_->choices_[index_], INT64_MAX);
    }
    generation_->on_end(index_, &answer, nullptr);
  }
  void on_error(const Error& error) override { generation_->on_end(index_, nullptr, &error); }

 private:
  static void release(Choice& choice, std::int64_t bytes) {
    auto& pending = choice.pending;
    std::size_t count = 0;
    while (count < pending.size() && pending[count].first <= bytes) {
      choice.all.push_back(pending[count].second);
      choice.entries.push_back(std::move(pending[count].second));
      ++count;
    }
    pending.erase(pending.begin(), pending.begin() + static_cast<std::ptrdiff_t>(count));
  }

  void tell(Stage stage, std::int64_t done_tokens = 0, std::int64_t cached_tokens = 0) {
    if (index_ != 0) return;
    {
      std::lock_guard lock(generation_->mutex_);
      generation_->reach(stage, done_tokens, cached_tokens);
    }
    generation_->on_event();
  }

  const std::shared_ptr<Generation> generation_;
  const std::size_t index_;
  std::optional<Call::Clock::time_point> last_token_;  // of the engine's thread
};

TokenEntry token_entry(const Engine& engine, const TokenLogprob& token) {
  TokenEntry entry{token_bytes(engine, token.id), token.logprob, {}};
  for (const auto& [id, logprob] : token.top) entry.top.emplace_back(token_text(engine, id), logprob);
  return entry;
}

namespace {

std::int64_t most_tokens(const std::vector<Sequence>& sequences) {
  std::int64_t most = 0;
  for (const Sequence& sequence : sequences) most = std::max(most, sequence.tokens);
  return most;
}

}  // namespace

const char* stage_name(Stage stage) {
  static constexpr const char* kNames[] = {"queued", "encoding", "prefill", "decode"};
  return kNames[static_cast<int>(stage)];
}

Generation::Generation(std::shared_ptr<Call> call, GenerationRequest request, std::unique_ptr<AnswerFormat> format)
    : call_(std::move(call)),
      request_(std::move(request)),
      format_(std::move(format)),
      prompt_tokens_(request_.sequences.at(0).tokens),
      choices_(request_.sequences.size()) {}

void Generation::start(std::shared_ptr<Call> call, GenerationRequest request, std::unique_ptr<AnswerFormat> format) {
  const std::shared_ptr<Generation> self(new Generation(std::move(call), std::move(request), std::move(format)));
  Service& service = self->call_->service;
  service.enter(self, self->call_->key_name);
  self->call_->exchange->on_gone([self] { self->cancel(Cause::kGone); });
  if (const auto deadline = self->request_.deadline; deadline.count() > 0)
    self->call_->exchange->set_deadline(
        std::chrono::ceil<std::chrono::milliseconds>(self->call_->start + deadline - Call::Clock::now()),
        [weak = std::weak_ptr(self)] {
          if (const auto generation = weak.lock()) generation->cancel(Cause::kDeadline);
        });
  self->submit();
}

void Generation::submit() {
  Service& service = call_->service;
  const bool has_media = !request_.media_names.empty();
  const auto self = shared_from_this();
  // What can still be wrong with a request is its media: the status line waits until they are decoded (on_queue).
  if (request_.is_stream && !has_media) start_stream();
  for (std::size_t i = 0; i < request_.sequences.size(); ++i) {
    {
      std::lock_guard lock(mutex_);
      if (cause_ != Cause::kNone || error_) {
        ended_ += request_.sequences.size() - i;
        break;
      }
    }
    Sequence& sequence = request_.sequences[i];
    const auto sink = std::make_shared<Sink>(self, i);
    try {
      Ticket ticket = service.engine().submit(std::move(sequence.prompt), std::move(sequence.options), sink);
      std::lock_guard lock(mutex_);
      if (is_over_) continue;  // a ticket kept now would keep this alive for ever
      tickets_.push_back(std::move(ticket));
      if (is_paused_) tickets_.back().pause();
      if (cause_ != Cause::kNone) tickets_.back().cancel();
    } catch (const Error& error) {
      on_end(i, nullptr, &error);
    }
  }
  bool is_over = false;
  {
    std::lock_guard lock(mutex_);
    is_over = ended_ == choices_.size();
  }
  if (is_over) call_->exchange->after(std::chrono::milliseconds(0), [self] { self->finish(); });
}

// Of the first sequence; the prompt of the others is the same, or they come behind it.
void Generation::reach(Stage stage, std::int64_t done_tokens, std::int64_t cached_tokens) {
  if (stage < stage_) return;
  stage_ = stage;
  const std::chrono::duration<double, std::milli> time = Call::Clock::now() - call_->start;
  progress_ = Progress{stage, done_tokens, cached_tokens, prompt_tokens_, time.count()};
}

void Generation::count_event() {
  if (!request_.is_stream || ++events_ < kMostEvents || std::exchange(is_paused_, true)) return;
  for (const Ticket& ticket : tickets_) ticket.pause();
}

void Generation::forget_events() {
  events_ = 0;
  if (!std::exchange(is_paused_, false)) return;
  for (const Ticket& ticket : tickets_) ticket.resume();
}

void Generation::cancel(Cause cause) {
  std::vector<Ticket> tickets;
  {
    std::lock_guard lock(mutex_);
    if (cause_ == Cause::kNone) cause_ = cause;
    tickets = tickets_;
  }
  for (const Ticket& ticket : tickets) ticket.cancel();
}

void Generation::on_event() {
  if (!request_.is_stream || is_awake_.exchange(true)) return;
  call_->exchange->after(std::chrono::milliseconds(0), [self = shared_from_this()] {
    self->start_stream();
    self->call_->exchange->wake();
  });
}

void Generation::on_end(std::size_t index, const Answer* answer, const Error* error) {
  bool is_last = false, is_first_error = false;
  {
    std::lock_guard lock(mutex_);
    if (answer) choices_[index].answer = *answer;
    if (error && !error_) {
      error_ = *error;
      is_first_error = true;
    }
    is_last = ++ended_ == choices_.size();
  }
  const auto self = shared_from_this();
  if (is_first_error && !is_last)  // not from the engine's own call
    call_->exchange->after(std::chrono::milliseconds(0), [self] { self->cancel(Cause::kSibling); });
  if (is_last)
    call_->exchange->after(std::chrono::milliseconds(0), [self] { self->finish(); });
  else
    on_event();
}

void Generation::start_stream() {
  {
    std::lock_guard lock(mutex_);
    if (is_streaming_ || is_over_ || error_ || cause_ != Cause::kNone) return;
    is_streaming_ = true;
  }
  send_head();
}

void Generation::send_head() {
  HttpResponse head;
  head.headers = {{"Content-Type", "text/event-stream; charset=utf-8"},
                  {"Cache-Control", "no-cache, no-transform"},
                  {"X-Accel-Buffering", "no"}};
  call_->stream(std::move(head), shared_from_this());
}

ApiError Generation::api_error(const Error& error) const {
  const std::string message = error.what();
  const bool is_of_input = error.code() == ErrorCode::kInvalidArgument || error.code() == ErrorCode::kBadFile ||
                           error.code() == ErrorCode::kUnsupported || error.code() == ErrorCode::kOutOfMemory;
  for (const std::string& name : request_.media_names)
    if (is_of_input && message.starts_with(name))
      return ApiError(400, "invalid_media", printable_start(message, 300), name);
  switch (error.code()) {
    case ErrorCode::kContextFull:
      return too_long(static_cast<std::size_t>(most_tokens(request_.sequences)), call_->service.facts(),
                      request_.prompt_name);
    case ErrorCode::kOutOfMemory: {
      ApiError busy(503, "overloaded", "too little memory for this request");
      busy.retry_seconds = call_->service.retry_seconds();
      return busy;
    }
    case ErrorCode::kCancelled: {
      if (cause_ == Cause::kDeadline) return ApiError(408, "request_timeout", "the time for this request is over");
      ApiError draining(503, "draining", "the server is shutting down");
      draining.retry_seconds = 5;
      return draining;
    }
    default: break;
  }
  call_->log("internal error: " + printable_start(message, 400));
  return ApiError(500, "internal_error", "an internal error; the server's log has it under this request id");
}

std::optional<ApiError> Generation::problem_at_end() const {
  if (error_) return api_error(*error_);
  const bool is_cut = std::any_of(choices_.begin(), choices_.end(), [](const Choice& choice) {
    return !choice.answer || choice.answer->finish_reason == FinishReason::kCancelled;
  });
  return is_cut ? std::optional(api_error(Error(ErrorCode::kCancelled, ""))) : std::nullopt;
}

// Everything has ended: what is left to say is said, and all that was held is given back.
void Generation::finish() {
  std::vector<Ticket> tickets;
  bool is_streaming = false, is_gone = false;
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(is_over_, true)) return;
    tickets.swap(tickets_);
    is_streaming = is_streaming_;
    is_gone = cause_ == Cause::kGone;
    problem_ = problem_at_end();
  }
  const auto self = shared_from_this();
  Service& service = call_->service;
  service.leave(self, std::chrono::duration<double>(Call::Clock::now() - call_->start).count());
  if (is_gone) return call_->note_gone(stage_name(stage_));
  if (is_streaming) {
    note_end();
    return call_->exchange->wake();
  }
  if (problem_) return call_->reply(*problem_);
  if (request_.is_stream) {  // an answer without any event before its end
    note_end();
    return send_head();
  }
  guarded(*call_, [&] {
    std::vector<Result> results;
    for (Choice& choice : choices_) results.push_back({*choice.answer, std::move(choice.all)});
    HttpResponse response = json_response(format_->whole(results));
    note_end();
    call_->reply(std::move(response));
  });
}

void Generation::note_end() {
  std::int64_t prompt = 0, generated = 0, computed = 0;
  std::string reason;
  Metrics& metrics = call_->service.metrics;
  for (const Choice& choice : choices_) {
    if (!choice.answer) continue;
    const Answer& answer = *choice.answer;
    prompt += answer.prompt_tokens;
    computed += answer.timings.prefilled_tokens;
    generated += static_cast<std::int64_t>(answer.ids.size());
    reason = finish_reason_name(answer.finish_reason);
    if (call_->service.options.logs_content) call_->log("answered: " + answer.text);
    metrics.add("g3n_finish_total", "reason=\"" + reason + "\"");
    metrics.observe("g3n_queue_seconds", "", answer.timings.queue_seconds);
    metrics.observe("g3n_prompt_length_tokens", "", static_cast<double>(answer.prompt_tokens));
    metrics.observe("g3n_completion_length_tokens", "", static_cast<double>(answer.ids.size()));
    if (answer.timings.encode_seconds > 0)
      metrics.observe("g3n_encode_seconds", "modality=" + label_value(request_.modality),
                      answer.timings.encode_seconds);
  }
  if (problem_) {
    reason = problem_->code;
    metrics.add("g3n_rejected_total", "code=" + label_value(reason));
  }
  metrics.add("g3n_prompt_tokens_total", "source=\"computed\"", static_cast<double>(computed));
  metrics.add("g3n_prompt_tokens_total", "source=\"cached\"", static_cast<double>(prompt - computed));
  metrics.add("g3n_generated_tokens_total", "", static_cast<double>(generated));
  call_->note(problem_ ? problem_->status : 200, std::to_string(prompt) + "+" + std::to_string(generated), reason);
}

bool Generation::next(std::string& bytes) {
  is_awake_.store(false);
  std::lock_guard lock(mutex_);
  forget_events();
  for (std::size_t i = 0; i < choices_.size(); ++i)
    if (!std::exchange(choices_[i].has_begun, true)) bytes += format_->begin(i);
  if (progress_ && request_.has_progress) bytes += format_->progress(*std::exchange(progress_, std::nullopt));
  for (std::size_t i = 0; i < choices_.size(); ++i) {
    Choice& choice = choices_[i];
    if (choice.prompt) bytes += format_->prompt(i, *std::exchange(choice.prompt, std::nullopt));
    if (!choice.text.empty() || !choice.entries.empty())
      bytes += format_->delta(i, std::exchange(choice.text, {}), std::exchange(choice.entries, {}));
    const bool is_cut = choice.answer && choice.answer->finish_reason == FinishReason::kCancelled;
    if (choice.answer && !is_cut && !std::exchange(choice.is_finished, true))
      bytes += format_->finish(i, *choice.answer);
  }
  if (!is_over_) return true;
  if (problem_) {
    bytes += "data: " + error_response(*problem_, Dialect::kOpenAI, call_->id).body + "\n\n";
    return false;
  }
  std::vector<Result> results;
  for (const Choice& choice : choices_) results.push_back({*choice.answer, {}});
  bytes += format_->end(results);
  return false;
}

std::string Generation::idle() { return sse_ping(); }

}  // namespace g3n::server
