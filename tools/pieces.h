// Large files are made and written in pieces, by all threads of a pool.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>

#include "core/thread_pool.h"
#include "g3n/error.h"

namespace g3n {

// Calls write(i) once for each i below `count`, on any thread, and wrote(what it returned), bytes, on one at a time.
// What an Error says ends it: thrown as kBadFile when all threads are done.
inline void write_pieces(ThreadPool& pool, int64_t count, const std::function<int64_t(int64_t)>& write,
                         const std::function<void(int64_t)>& wrote) {
  std::mutex mutex;
  std::string problem;
  std::atomic<bool> failed{false};
  pool.parallel_for(count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end && !failed; ++i) try {
        const int64_t bytes = write(i);
        const std::lock_guard lock(mutex);
        wrote(bytes);
      } catch (const Error& error) {  // must not leave the loop
        const std::lock_guard lock(mutex);
        failed = true;
        problem = error.what();
      }
  });
  if (failed) throw Error(ErrorCode::kBadFile, problem);
}

}  // namespace g3n
