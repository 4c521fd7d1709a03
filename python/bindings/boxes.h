// What Python objects hold of the engine: shared with the calls that run on it, and emptied by close(), by the end of
// the interpreter, and never in a forked child, whose copies of them are left alone.
#pragma once
#include <sys/types.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "call.h"
#include "g3n/engine.h"
#include "g3n/session.h"

namespace g3n::python {

class SessionBox;

class EngineBox : public std::enable_shared_from_this<EngineBox> {
 public:
  static std::shared_ptr<EngineBox> make(std::shared_ptr<Engine> engine);
  ~EngineBox();

  // Throws BindingError: ClosedError, ForkError.
  std::shared_ptr<Engine> use() const;
  bool is_open() const;
  void add(const std::shared_ptr<SessionBox>& session);
  // Cancels what runs, waits for its end, frees caches and weights. Without the GIL; any thread, any number of times.
  void close(std::chrono::milliseconds time);
  static void close_all(std::chrono::milliseconds time);

 private:
  explicit EngineBox(std::shared_ptr<Engine> engine);

  const pid_t pid_;
  mutable std::mutex mutex_;
  std::shared_ptr<Engine> engine_;  // null: closed
  std::vector<std::weak_ptr<SessionBox>> sessions_;
};

class SessionBox : public std::enable_shared_from_this<SessionBox> {
 public:
  SessionBox(std::shared_ptr<EngineBox> engine, const std::string& system);
  ~SessionBox();

  // Whether a turn can begin. Waits this long for the end of one that was cancelled; BindingError BusyError beside any
  // other.
  bool is_free(std::chrono::milliseconds time) const;
  // hooked: as of Call::submit.
  std::shared_ptr<Call> reply(std::vector<Part> parts, AnswerOptions options, bool hooked);
  bool undo();
  void reset();
  // As of the last turn that ended.
  std::vector<Session::Turn> turns() const;
  std::int64_t used_context() const;
  const std::shared_ptr<EngineBox>& engine() const { return engine_; }
  void close();

 private:
  Session& idle();  // under mutex_; throws BusyError, ClosedError
  void look();      // takes turns_ and used_ from the session
  const pid_t pid_;
  const std::shared_ptr<EngineBox> engine_;
  mutable std::mutex mutex_;
  std::unique_ptr<Session> session_;  // null: closed
  std::shared_ptr<Call> running_;     // null: none
  std::vector<Session::Turn> turns_;
  std::int64_t used_ = 0;
};

}  // namespace g3n::python
