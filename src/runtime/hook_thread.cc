#include "runtime/hook_thread.h"

#include <condition_variable>
#include <exception>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>

#include "g3n/error.h"

namespace g3n {

// Shared with the thread, which may outlive the request.
struct HookThread::State {
  enum class Phase { kIdle, kAsked, kAtWork, kDone };

  LogitsHook hook;
  std::function<void()> on_done;
  mutable std::mutex mutex;
  mutable std::condition_variable changed;
  Phase phase = Phase::kIdle;
  bool stopped = false;
  std::vector<int32_t> ids;
  std::vector<float> row;
  std::exception_ptr problem;

  void set(Phase to) {
    {
      std::lock_guard lock(mutex);
      phase = to;
    }
    changed.notify_all();
  }
  // Whether there is a row: else the request has ended.
  bool wait_for_row() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [this] { return stopped || phase == Phase::kAsked; });
    if (stopped) return false;
    phase = Phase::kAtWork;
    return true;
  }
  void run() {
    while (wait_for_row()) {
      try {
        hook(ids, row);
      } catch (...) {
        problem = std::current_exception();
      }
      set(Phase::kDone);
      on_done();
    }
  }
};

HookThread::HookThread(LogitsHook hook, std::function<void()> on_done) : state_(std::make_shared<State>()) {
  state_->hook = std::move(hook);
  state_->on_done = std::move(on_done);
  try {
    std::thread([state = state_] { state->run(); }).detach();
  } catch (const std::system_error& error) {
    throw Error(ErrorCode::kOutOfMemory, std::string("cannot start a thread for the logits hook: ") + error.what());
  }
}

HookThread::~HookThread() { stop(); }

void HookThread::put(std::span<const int32_t> ids, std::vector<float> row) {
  state_->ids.assign(ids.begin(), ids.end());
  state_->row = std::move(row);
  state_->set(State::Phase::kAsked);
}

bool HookThread::is_done() const {
  std::lock_guard lock(state_->mutex);
  return state_->phase == State::Phase::kDone;
}

std::span<const float> HookThread::take() {
  state_->set(State::Phase::kIdle);
  if (state_->problem) std::rethrow_exception(std::exchange(state_->problem, nullptr));
  return state_->row;
}

void HookThread::stop() {
  {
    std::lock_guard lock(state_->mutex);
    state_->stopped = true;
  }
  state_->changed.notify_all();
}

void HookThread::wait() const {
  std::unique_lock lock(state_->mutex);
  state_->changed.wait(lock, [this] { return state_->phase != State::Phase::kAtWork; });
}

}  // namespace g3n
