#include "runtime/engine_impl.h"

namespace g3n {

void Ticket::cancel() const {
  if (state_) state_->job->cancel();
}

void Ticket::pause() const {
  if (state_) state_->job->pause();
}

void Ticket::resume() const {
  if (state_) state_->job->resume();
}

bool Ticket::wait_for(std::chrono::milliseconds time) const { return !state_ || state_->job->wait_for(time); }

void Ticket::wait() const {
  if (state_) state_->job->wait();
}

const Answer& Ticket::answer() const {
  if (!state_) throw Error(ErrorCode::kInvalidArgument, "the ticket is empty: expected one that Engine::submit gave");
  return state_->job->answer();
}

}  // namespace g3n
