// A pool of workers for loops over tasks. Results never depend on who runs which task (design.md 3.8).
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "core/log.h"

namespace g3n {

// A reference to a callable void(int64_t begin, int64_t end): no allocation, valid for the call only.
class RangeFunction {
 public:
  template <typename F>
  RangeFunction(const F& f)  // NOLINT: implicit on purpose
      : object_(&f), call_([](const void* o, int64_t b, int64_t e) { (*static_cast<const F*>(o))(b, e); }) {}
  void operator()(int64_t begin, int64_t end) const { call_(object_, begin, end); }

 private:
  const void* object_;
  void (*call_)(const void*, int64_t, int64_t);
};

class ThreadPool {
 public:
  // threads includes the caller; 0 means one per core that this process may use. Where the system refuses to start so
  // many, the pool has fewer: threads() < wanted_threads().
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }
  int wanted_threads() const { return wanted_threads_; }

  // Runs f over [0, count) in runs of at most grain, each run once, on the caller and the workers; returns when all are
  // done. f must not throw. One parallel_for at a time per pool (Engine sees to that).
  void parallel_for(int64_t count, int64_t grain, RangeFunction f);

 private:
  struct Job;
  void work();
  static void run(Job& job);

  int wanted_threads_;
  std::vector<std::thread> workers_;
  // The generation counts jobs; workers spin a little, then sleep on it.
  alignas(64) std::atomic<uint32_t> generation_{0};
  alignas(64) std::atomic<Job*> job_{nullptr};
  alignas(64) std::atomic<int> inside_{0};
  std::atomic<bool> stop_{false};
};

// Says so where the system started fewer threads than were wanted.
void warn_of_missing_threads(const ThreadPool& pool, const Log& log);

// Cores this process may run on (affinity and cgroup quota), at least 1.
int usable_cores();

}  // namespace g3n
