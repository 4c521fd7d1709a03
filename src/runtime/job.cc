#include "runtime/job.h"

#include <algorithm>
#include <string>

#include "g3n/error.h"

namespace g3n {

Error cancelled_error() { return Error(ErrorCode::kCancelled, "the call was cancelled"); }

void WakeUp::notify() {
  {
    std::lock_guard lock(mutex);
    ++count;
  }
  changed.notify_all();
}

Job::Job(JobSetup setup, std::shared_ptr<WakeUp> wake_up)
    : setup_(std::move(setup)),
      wake_up_(std::move(wake_up)),
      hook_(setup_.options.logits_hook
                ? std::make_shared<HookThread>(setup_.options.logits_hook, [wake_up = wake_up_] { wake_up->notify(); })
                : nullptr) {}

void Job::cancel() {
  cancelled_.store(true);
  wake_up_->notify();
}

void Job::resume() {
  paused_.store(false);
  wake_up_->notify();
}

bool Job::wait_for(std::chrono::milliseconds time) const {
  std::unique_lock lock(mutex_);
  return ended_changed_.wait_for(lock, time, [this] { return ended_; });
}

void Job::wait() const {
  std::unique_lock lock(mutex_);
  ended_changed_.wait(lock, [this] { return ended_; });
  lock.unlock();
  if (hook_) hook_->wait();  // of a request that was cancelled: nothing of the caller's is used any longer
}

const Answer& Job::answer() const {
  wait();
  if (error_) throw Error(error_->first, error_->second);
  return answer_;
}

TokensView Job::tokens() const { return sequence_ ? sequence_->tokens() : TokensView{prompt_->ids, prompt_->soft}; }

int64_t Job::most_shared() const {
  const int64_t known = static_cast<int64_t>(tokens().ids.size());
  if (!setup_.logits || sequence_) return known - 1;
  const WantedLogits& wanted = *setup_.logits;
  return std::min(wanted.positions.empty() ? wanted.first : wanted.positions.front(), known - 1);
}

namespace {

Error as_error(const std::exception_ptr& problem) {
  try {
    std::rethrow_exception(problem);
  } catch (const Error& error) {
    return error;
  } catch (const std::bad_alloc&) {
    return Error(ErrorCode::kOutOfMemory,
                 "out of memory: expected room for this request, found none (a smaller context, chunk or type of "
                 "the KV cache takes less)");
  } catch (const std::exception& error) {
    return Error(ErrorCode::kInternal, error.what());
  } catch (...) {
    return Error(ErrorCode::kInternal, "an exception of unknown type");
  }
}

}  // namespace

void Job::end(std::exception_ptr problem) noexcept {
  std::optional<Error> error;
  if (problem) error = as_error(problem);
  sequence_.reset();
  plan_ = {};
  if (hook_) hook_->stop();
  if (setup_.sink) {
    if (error)
      setup_.sink->on_error(*error);
    else
      setup_.sink->on_finish(answer_);
  }
  {
    std::lock_guard lock(mutex_);
    if (error) error_.emplace(error->code(), error->what());
    ended_ = true;
  }
  ended_changed_.notify_all();
}

// ---- events on the waiting thread -----------------------------------------------------------------------------------

void EventRelay::put(std::function<void(EventSink&)> event, bool is_last) {
  {
    std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
    has_ended_ |= is_last;
  }
  changed_.notify_one();
}

void EventRelay::on_queue(std::int64_t ahead) {
  put([=](EventSink& sink) { sink.on_queue(ahead); });
}
void EventRelay::on_media(std::int64_t encoded, std::int64_t total) {
  put([=](EventSink& sink) { sink.on_media(encoded, total); });
}
void EventRelay::on_prefill(std::int64_t done, std::int64_t total) {
  put([=](EventSink& sink) { sink.on_prefill(done, total); });
}
void EventRelay::on_prompt_logprobs(std::span<const TokenLogprob> tokens) {
  put([tokens = std::vector(tokens.begin(), tokens.end())](EventSink& sink) { sink.on_prompt_logprobs(tokens); });
}
void EventRelay::on_token(std::int32_t id) {
  put([=](EventSink& sink) { sink.on_token(id); });
}
void EventRelay::on_logprobs(const TokenLogprob& token) {
  put([=](EventSink& sink) { sink.on_logprobs(token); });
}
void EventRelay::on_text(std::string_view text) {
  put([text = std::string(text)](EventSink& sink) { sink.on_text(text); });
}
void EventRelay::on_finish(const Answer& answer) {
  put([=](EventSink& sink) { sink.on_finish(answer); }, true);
}
void EventRelay::on_error(const Error& error) {
  put([code = error.code(), text = std::string(error.what())](EventSink& sink) { sink.on_error(Error(code, text)); },
      true);
}

bool EventRelay::pass_on(std::chrono::milliseconds time) {
  std::vector<std::function<void(EventSink&)>> events;
  bool is_last = false;
  {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, time, [this] { return !events_.empty(); });
    events.swap(events_);
    is_last = has_ended_;
  }
  for (const auto& event : events) event(sink_);
  return !is_last;
}

}  // namespace g3n
