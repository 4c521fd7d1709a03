#include "core/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <new>
#include <string>
#include <system_error>

namespace g3n {
namespace {

constexpr int kSpins = 2000;  // about 20 to 50 microseconds, the gap between two loops of a layer; then sleep

inline void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

int quota_cores() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return 1 << 20;
  return std::max(1, static_cast<int>(std::strtod(quota.c_str(), nullptr) / period + 0.5));
}

}  // namespace

int usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  int cores = static_cast<int>(std::thread::hardware_concurrency());
  if (sched_getaffinity(0, sizeof(set), &set) == 0) cores = CPU_COUNT(&set);
  return std::max(1, std::min(cores, quota_cores()));
}

struct ThreadPool::Job {
  RangeFunction f;
  int64_t count, grain;
  alignas(64) std::atomic<int64_t> next{0};
};

ThreadPool::ThreadPool(int threads) : wanted_threads_(threads > 0 ? threads : usable_cores()) {
  workers_.reserve(static_cast<size_t>(wanted_threads_ - 1));
  try {
    for (int i = 1; i < wanted_threads_; ++i) workers_.emplace_back([this] { work(); });
  } catch (const std::system_error&) {  // a limit on processes or memory: results do not depend on how many there are
  } catch (const std::bad_alloc&) {
  }
}

ThreadPool::~ThreadPool() {
  stop_.store(true);
  generation_.fetch_add(1);
  generation_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run(Job& job) {
  for (;;) {
    const int64_t begin = job.next.fetch_add(job.grain, std::memory_order_relaxed);
    if (begin >= job.count) return;
    job.f(begin, std::min(begin + job.grain, job.count));
  }
}

// A worker announces itself (inside_) before it looks at job_, and the owner clears job_ before it waits for inside_ to
// reach 0; both are sequentially consistent, so either the worker sees no job or the owner sees the worker.
void ThreadPool::work() {
  uint32_t seen = 0;
  for (;;) {
    uint32_t now = generation_.load();
    for (int i = 0; now == seen && i < kSpins; ++i) pause_cpu(), now = generation_.load(std::memory_order_acquire);
    if (now == seen) {
      generation_.wait(seen);
      now = generation_.load();
      if (now == seen) continue;
    }
    seen = now;
    if (stop_.load()) return;
    inside_.fetch_add(1);
    if (Job* job = job_.load()) run(*job);
    if (inside_.fetch_sub(1) == 1) inside_.notify_one();
  }
}

void ThreadPool::parallel_for(int64_t count, int64_t grain, RangeFunction f) {
  if (count <= 0) return;
  grain = std::max<int64_t>(grain, 1);
  if (workers_.empty() || count <= grain) {
    for (int64_t begin = 0; begin < count; begin += grain) f(begin, std::min(begin + grain, count));
    return;
  }
  Job job{f, count, grain};
  job_.store(&job);
  generation_.fetch_add(1);
  generation_.notify_all();
  run(job);
  job_.store(nullptr);
  int inside = inside_.load();
  for (int spins = 0; inside != 0 && spins < kSpins; ++spins) pause_cpu(), inside = inside_.load();
  // A worker was descheduled inside its last run: this core goes idle, so that the system may move it here.
  for (; inside != 0; inside = inside_.load()) inside_.wait(inside);
}

void warn_of_missing_threads(const ThreadPool& pool, const Log& log) {
  if (pool.threads() < pool.wanted_threads())
    log.warn("threads: the system starts only " + std::to_string(pool.threads()) + " of " +
             std::to_string(pool.wanted_threads()));
}

}  // namespace g3n
