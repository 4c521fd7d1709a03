// What all engines of this process share: the calls that run, the Python threads that wait in them, and the two ends of
// a process that need care: the interpreter's exit and a fork.
#pragma once
#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <Python.h>

#include "bindings_error.h"

namespace g3n::python {

class Call;
class EngineBox;

class Process {
 public:
  // This process's own; a forked child begins with a new one and never touches what its parent's threads held.
  static Process& get();

  void add(std::shared_ptr<Call> call);
  void remove(const Call* call);
  void add(const std::shared_ptr<EngineBox>& engine);
  std::vector<std::shared_ptr<EngineBox>> engines();
  // Cancels the calls of the owner (null: all), and waits until they have ended; false: not within this time.
  bool cancel_and_wait(const void* owner, std::chrono::milliseconds time);

  // ---- the interpreter's exit ----
  // From here on calls of this thread throw, and those of other threads (daemons all of them) do not come back.
  void begin_exit();
  // What every use of an engine begins with, under the GIL: past begin_exit it does not return to a daemon's Python
  // code.
  void expect_time();
  // Waits, without the GIL, until no Python thread is inside a call.
  bool wait_until_outside(std::chrono::milliseconds time);

 private:
  friend class Unlocked;
  friend class Inside;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<const Call*, std::shared_ptr<Call>> calls_;
  std::vector<std::weak_ptr<EngineBox>> engines_;
  int inside_ = 0;
  bool is_exiting_ = false;
  std::thread::id exit_thread_;
};

// While one of these lives, the interpreter's exit waits: for stretches under the GIL that run Python code of their own
// (arrays import numpy), in which the thread would lose the GIL and not come back.
class Inside {
 public:
  Inside();  // as Process::expect_time
  ~Inside();
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

 private:
  Process& process_;
};

// The GIL is released while one of these lives. A thread that would come back for it after the interpreter has begun to
// end is kept here for good: it would be ended by the interpreter through frames that must not be unwound.
class Unlocked {
 public:
  Unlocked();   // throws BindingError if the interpreter is ending
  ~Unlocked();  // takes the GIL again
  Unlocked(const Unlocked&) = delete;
  Unlocked& operator=(const Unlocked&) = delete;

 private:
  Process& process_;
  PyThreadState* thread_ = nullptr;
};

}  // namespace g3n::python
