#include "boxes.h"

#include <unistd.h>

#include <algorithm>
#include <optional>

#include "bindings_error.h"
#include "process.h"

namespace g3n::python {
namespace {

BindingError closed() { return {"ClosedError", "the engine is closed: load the model again"}; }

void expect_process(pid_t pid) {
  if (pid != getpid())
    throw BindingError("ForkError",
                       "this engine belongs to the process that forked this one: load the model in the child");
}

// Every use begins here, with the GIL and without any mutex: whether this is the time and the process for it.
void begin_use(pid_t pid) {
  Process::get().expect_time();
  expect_process(pid);
}

// Never destroyed.
template <class T>
void leak(T&& value) {
  new T(std::move(value));
}

}  // namespace

EngineBox::EngineBox(std::shared_ptr<Engine> engine) : pid_(getpid()), engine_(std::move(engine)) {}

std::shared_ptr<EngineBox> EngineBox::make(std::shared_ptr<Engine> engine) {
  const std::shared_ptr<EngineBox> box(new EngineBox(std::move(engine)));
  Process::get().add(box);
  return box;
}

EngineBox::~EngineBox() {
  if (pid_ != getpid()) leak(std::move(engine_));
}

std::shared_ptr<Engine> EngineBox::use() const {
  begin_use(pid_);
  std::lock_guard lock(mutex_);
  if (!engine_) throw closed();
  return engine_;
}

bool EngineBox::is_open() const {
  std::lock_guard lock(mutex_);
  return engine_ != nullptr;
}

void EngineBox::add(const std::shared_ptr<SessionBox>& session) {
  std::lock_guard lock(mutex_);
  std::erase_if(sessions_, [](const auto& other) { return other.expired(); });
  sessions_.push_back(session);
}

void EngineBox::close(std::chrono::milliseconds time) {
  if (pid_ != getpid()) return;
  std::shared_ptr<Engine> engine;
  std::vector<std::weak_ptr<SessionBox>> sessions;
  {
    std::lock_guard lock(mutex_);
    engine.swap(engine_);
    sessions.swap(sessions_);
  }
  const bool has_ended = Process::get().cancel_and_wait(this, time);
  if (!has_ended) {
    leak(std::move(engine));
    return;
  }
  for (const auto& weak : sessions)
    if (const auto session = weak.lock()) session->close();
}

void EngineBox::close_all(std::chrono::milliseconds time) {
  const auto deadline = std::chrono::steady_clock::now() + time;
  for (const auto& engine : Process::get().engines())
    engine->close(std::max(std::chrono::milliseconds(1), std::chrono::duration_cast<std::chrono::milliseconds>(
                                                             deadline - std::chrono::steady_clock::now())));
}

SessionBox::SessionBox(std::shared_ptr<EngineBox> engine, const std::string& system)
    : pid_(getpid()), engine_(std::move(engine)), session_(std::make_unique<Session>(engine_->use())) {
  if (!system.empty()) session_->set_system(system);
  look();
}

SessionBox::~SessionBox() {
  if (pid_ != getpid()) {
    leak(std::move(session_));
    leak(std::move(running_));
  }
}

bool SessionBox::is_free(std::chrono::milliseconds time) const {
  expect_process(pid_);
  std::shared_ptr<Call> running;
  {
    std::lock_guard lock(mutex_);
    running = running_;
  }
  if (!running) return true;
  if (!running->is_cancelled())
    throw BindingError("BusyError", "this session is answering another turn: wait for its end, or cancel its stream");
  running->wait_for_end(time);
  std::lock_guard lock(mutex_);
  return !running_;
}

Session& SessionBox::idle() {
  if (!session_ || !engine_->is_open()) throw closed();
  if (running_)
    throw BindingError("BusyError", "this session is answering another turn: wait for its end, or cancel its stream");
  return *session_;
}

void SessionBox::look() {
  turns_ = session_->transcript();
  used_ = session_->used_context();
}

std::shared_ptr<Call> SessionBox::reply(std::vector<Part> parts, AnswerOptions options, bool hooked) {
  begin_use(pid_);
  std::lock_guard lock(mutex_);
  Session& session = idle();
  running_ = Call::run(engine_.get(), [self = shared_from_this(), &session, parts = std::move(parts),
                                       options = std::move(options), hooked](Call& call) mutable {
    options.cancelled = call.cancelled();
    if (hooked)
      options.logits_hook = [&call](std::span<const std::int32_t> ids, std::span<float> row) {
        call.wait_for_hook(ids, row);
      };
    std::optional<Answer> answer;
    std::exception_ptr problem;
    try {
      answer = session.reply(parts, options, &call);
    } catch (...) {
      problem = std::current_exception();
    }
    {
      std::lock_guard inner(self->mutex_);
      self->look();
      self->running_.reset();
    }
    if (problem) std::rethrow_exception(problem);
    call.set_answer(std::move(*answer));
  });
  return running_;
}

bool SessionBox::undo() {
  begin_use(pid_);
  std::lock_guard lock(mutex_);
  const bool undone = idle().undo();
  look();
  return undone;
}

void SessionBox::reset() {
  begin_use(pid_);
  std::lock_guard lock(mutex_);
  idle().reset();
  look();
}

std::vector<Session::Turn> SessionBox::turns() const {
  begin_use(pid_);
  std::lock_guard lock(mutex_);
  return turns_;
}

std::int64_t SessionBox::used_context() const {
  begin_use(pid_);
  std::lock_guard lock(mutex_);
  return used_;
}

void SessionBox::close() {
  std::unique_ptr<Session> session;
  std::unique_lock lock(mutex_);
  while (running_) {  // a turn that began while the engine was being closed
    const std::shared_ptr<Call> running = running_;
    lock.unlock();
    running->cancel();
    running->wait_for_end(std::chrono::milliseconds(50));
    lock.lock();
  }
  session = std::move(session_);
}

}  // namespace g3n::python
