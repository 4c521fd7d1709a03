#include "call.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <new>
#include <thread>
#include <utility>

#include "process.h"

namespace g3n::python {
namespace {

// The error that is being handled, as one of ours.
Error current_error() {
  try {
    throw;
  } catch (const Error& error) {
    return error;
  } catch (const std::bad_alloc&) {
    return Error(ErrorCode::kOutOfMemory, "the machine has too little memory for this request");
  } catch (const std::exception& error) {
    return Error(ErrorCode::kInternal, error.what());
  }
}

}  // namespace

std::shared_ptr<Call> Call::submit(const void* owner, Engine& engine, Request request, bool hooked) {
  const std::shared_ptr<Call> call(new Call(owner));
  if (hooked)
    request.options.logits_hook = [call](std::span<const std::int32_t> ids, std::span<float> row) {
      call->wait_for_hook(ids, row);
    };
  Process::get().add(call);
  try {
    const Ticket ticket = engine.submit(std::move(request), call);
    {
      std::lock_guard lock(call->mutex_);
      if (!call->ended_) call->ticket_ = ticket;
    }
    if (call->is_cancelled()) ticket.cancel();
  } catch (...) {
    Process::get().remove(call.get());
    throw;
  }
  return call;
}

std::shared_ptr<Call> Call::run(const void* owner, std::function<void(Call&)> work) {
  const std::shared_ptr<Call> call(new Call(owner));
  call->has_thread_ = true;
  Process::get().add(call);
  try {
    std::thread([call, work = std::move(work)]() mutable {
      std::optional<Error> error;
      try {
        work(*call);
      } catch (...) {
        error = current_error();
      }
      work = nullptr;
      call->end(std::move(error));
    }).detach();
  } catch (...) {
    Process::get().remove(call.get());
    throw;
  }
  return call;
}

Call::~Call() {
  if (event_fd_ >= 0) close(event_fd_);
}

void Call::cancel() {
  Ticket ticket;
  {
    std::lock_guard lock(mutex_);  // a hook's thread looks at the flag under it
    cancelled_.store(true, std::memory_order_relaxed);
    ticket = ticket_;
  }
  ticket.cancel();
  changed_.notify_all();  // a hook's thread
}

bool Call::has_ended() const {
  std::lock_guard lock(mutex_);
  return ended_;
}

bool Call::wait_for(std::chrono::milliseconds time) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, time, [this] { return has_something(); });
}

bool Call::wait_for_end(std::chrono::milliseconds time) const {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, time, [this] { return ended_ || row_state_ == RowState::kWaits; });
  return ended_;
}

std::optional<Fragment> Call::take() {
  std::lock_guard lock(mutex_);
  if (fragments_.empty()) return std::nullopt;
  Fragment fragment = std::move(fragments_.front());
  fragments_.erase(fragments_.begin());
  hush();
  return fragment;
}

bool Call::has_something() const { return ended_ || !fragments_.empty() || row_state_ == RowState::kWaits; }

void Call::hush() {
  if (event_fd_ < 0 || has_something()) return;
  eventfd_t count;
  eventfd_read(event_fd_, &count);
}

std::shared_ptr<std::vector<float>> Call::take_row(std::vector<std::int32_t>& ids) {
  std::lock_guard lock(mutex_);
  if (row_state_ != RowState::kWaits) return nullptr;
  row_state_ = RowState::kIsTaken;
  ids = row_ids_;
  hush();
  return row_;
}

void Call::give_row() {
  {
    std::lock_guard lock(mutex_);
    if (row_state_ == RowState::kIsTaken) row_state_ = RowState::kIsBack;
  }
  changed_.notify_all();
}

void Call::wait_for_hook(std::span<const std::int32_t> ids, std::span<float> row) {
  std::unique_lock lock(mutex_);
  if (!row_) row_ = std::make_shared<std::vector<float>>(row.size());
  std::copy(row.begin(), row.end(), row_->begin());
  row_ids_.assign(ids.begin(), ids.end());
  row_state_ = RowState::kWaits;
  tell();
  changed_.wait(lock, [this] { return row_state_ == RowState::kIsBack || is_cancelled(); });
  if (is_cancelled()) throw Error(ErrorCode::kCancelled, "the call was cancelled");
  row_state_ = RowState::kNone;
  std::copy(row_->begin(), row_->end(), row.begin());
}

const Answer& Call::answer() const {
  std::lock_guard lock(mutex_);
  if (error_) throw Error(*error_);
  return answer_;
}

int Call::event_fd() {
  std::lock_guard lock(mutex_);
  if (event_fd_ < 0) {
    event_fd_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (event_fd_ < 0) throw Error(ErrorCode::kInternal, "eventfd: no file descriptor is left");
    if (has_something()) tell();
  }
  return event_fd_;
}

void Call::set_answer(Answer answer) {
  std::lock_guard lock(mutex_);
  answer_ = std::move(answer);
}

void Call::set_progress(std::int64_t done, std::int64_t total) {
  std::lock_guard lock(mutex_);
  done_ = done;
  total_ = total;
}

std::pair<std::int64_t, std::int64_t> Call::progress() const {
  std::lock_guard lock(mutex_);
  return {done_, total_};
}

void Call::on_token(std::int32_t id) {
  std::lock_guard lock(mutex_);
  open_.ids.push_back(id);
}

void Call::on_logprobs(const TokenLogprob& token) {
  std::lock_guard lock(mutex_);
  open_.logprobs.push_back(token);
}

void Call::on_text(std::string_view text) {
  if (text.empty()) return;
  std::lock_guard lock(mutex_);
  open_.text = text;
  fragments_.push_back(std::exchange(open_, {}));
  tell();
}

void Call::on_finish(const Answer& answer) {
  if (has_thread_) return;
  set_answer(answer);
  end(std::nullopt);
}

void Call::on_error(const Error& error) {
  if (!has_thread_) end(error);
}

void Call::end(std::optional<Error> error) {
  Ticket done;  // holds this call by its sink
  {
    std::lock_guard lock(mutex_);
    error_ = std::move(error);
    done = std::exchange(ticket_, {});
    ended_ = true;
    tell();
  }
  Process::get().remove(this);
}

void Call::tell() {
  if (event_fd_ >= 0) eventfd_write(event_fd_, 1);
  changed_.notify_all();
}

}  // namespace g3n::python
