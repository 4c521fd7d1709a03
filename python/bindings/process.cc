#include "process.h"

#include <pthread.h>
#include <unistd.h>

#include <chrono>
#include <vector>

#include "boxes.h"

namespace g3n::python {
namespace {

// Never destroyed: threads of the engine may end after static destructors have run. In a child its mutex may be held
// for good, so a child takes a new one.
Process* this_process = nullptr;

[[noreturn]] void park() {
  for (;;) pause();
}

}  // namespace

Process& Process::get() {
  static const bool once = [] {
    this_process = new Process;
    pthread_atfork(nullptr, nullptr, [] { this_process = new Process; });
    return true;
  }();
  static_cast<void>(once);
  return *this_process;
}

void Process::add(std::shared_ptr<Call> call) {
  std::lock_guard lock(mutex_);
  calls_.emplace(call.get(), call);
}

void Process::add(const std::shared_ptr<EngineBox>& engine) {
  std::lock_guard lock(mutex_);
  std::erase_if(engines_, [](const auto& other) { return other.expired(); });
  engines_.push_back(engine);
}

std::vector<std::shared_ptr<EngineBox>> Process::engines() {
  std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<EngineBox>> all;
  for (const auto& weak : engines_)
    if (auto engine = weak.lock()) all.push_back(std::move(engine));
  return all;
}

void Process::remove(const Call* call) {
  std::shared_ptr<Call> last;  // ends after the lock
  std::lock_guard lock(mutex_);
  const auto at = calls_.find(call);
  if (at == calls_.end()) return;
  last = std::move(at->second);
  calls_.erase(at);
  changed_.notify_all();
}

bool Process::cancel_and_wait(const void* owner, std::chrono::milliseconds time) {
  const auto mine = [&](const Call& call) { return !owner || call.owner_ == owner; };
  std::vector<std::shared_ptr<Call>> calls;
  std::unique_lock lock(mutex_);
  for (const auto& [key, call] : calls_)
    if (mine(*call)) calls.push_back(call);
  lock.unlock();
  for (const auto& call : calls) call->cancel();
  calls.clear();
  lock.lock();
  return changed_.wait_for(lock, time, [&] {
    for (const auto& [key, call] : calls_)
      if (mine(*call)) return false;
    return true;
  });
}

void Process::begin_exit() {
  std::lock_guard lock(mutex_);
  is_exiting_ = true;
  exit_thread_ = std::this_thread::get_id();
}

void Process::expect_time() {
  {
    std::lock_guard lock(mutex_);
    if (!is_exiting_ || exit_thread_ == std::this_thread::get_id()) return;
  }
  PyEval_SaveThread();
  park();
}

bool Process::wait_until_outside(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, time, [this] { return inside_ == 0; });
}

Inside::Inside() : process_(Process::get()) {
  process_.expect_time();
  std::lock_guard lock(process_.mutex_);
  ++process_.inside_;
}

Inside::~Inside() {
  {
    std::lock_guard lock(process_.mutex_);
    --process_.inside_;
  }
  process_.changed_.notify_all();
}

Unlocked::Unlocked() : process_(Process::get()) {
  bool is_late = false;
  {
    std::lock_guard lock(process_.mutex_);
    if (process_.is_exiting_ && process_.exit_thread_ == std::this_thread::get_id())
      throw BindingError("ClosedError", "the interpreter is ending: no engine can be used any more");
    is_late = process_.is_exiting_;
    if (!is_late) ++process_.inside_;
  }
  thread_ = PyEval_SaveThread();
  if (is_late) park();
}

Unlocked::~Unlocked() {
  {
    std::lock_guard lock(process_.mutex_);
    if (process_.is_exiting_ && process_.exit_thread_ != std::this_thread::get_id()) {
      --process_.inside_;
      process_.changed_.notify_all();
      thread_ = nullptr;
    }
  }
  if (!thread_) park();
  PyEval_RestoreThread(thread_);  // before it counts as outside: whoever waits for that lets it have the GIL
  std::lock_guard lock(process_.mutex_);
  --process_.inside_;
  process_.changed_.notify_all();
}

}  // namespace g3n::python
