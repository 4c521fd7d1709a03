// Machine: threads, kernels and scratch that forward passes share, one pass at a time.
#pragma once
#include <atomic>
#include <mutex>

#include "core/arena.h"
#include "core/context.h"
#include "core/thread_pool.h"

namespace g3n {

class Machine {
 public:
  Machine(int threads, const KernelTable& kernels, ComputeType compute)
      : pool_(threads), kernels_(kernels), compute_(compute) {}

  ThreadPool& pool() { return pool_; }
  const KernelTable& kernels() const { return kernels_; }
  ComputeType compute() const { return compute_; }

  // Receives the taps of every run from now on; null: nobody.
  void set_taps(TapSink* taps) { taps_ = taps; }

  // f(Context&) with the machine to itself.
  template <typename F>
  auto run(const std::atomic<bool>* cancelled, F&& f) {
    std::lock_guard lock(mutex_);
    Context ctx{.pool = pool_,
                .kernels = kernels_,
                .arena = arena_,
                .compute = compute_,
                .taps = taps_,
                .cancelled = cancelled};
    ArenaScope scope(arena_);
    return f(ctx);
  }

 private:
  ThreadPool pool_;
  const KernelTable& kernels_;
  ComputeType compute_;
  Arena arena_;
  TapSink* taps_ = nullptr;
  std::mutex mutex_;
};

}  // namespace g3n
