#include "core/thread_pool.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <vector>

namespace g3n {
namespace {

class ThreadPoolTest : public ::testing::TestWithParam<int> {};

TEST_P(ThreadPoolTest, EveryIndexRunsOnce) {
  ThreadPool pool(GetParam());
  EXPECT_EQ(pool.threads(), GetParam());
  for (int64_t count : {0, 1, 2, 3, 17, 1000})
    for (int64_t grain : {1, 2, 7, 2000}) {
      std::vector<std::atomic<int>> hits(count);
      pool.parallel_for(count, grain, [&](int64_t begin, int64_t end) {
        EXPECT_LE(end - begin, grain < count ? grain : count);
        for (int64_t i = begin; i < end; ++i) hits[i].fetch_add(1);
      });
      for (auto& hit : hits) EXPECT_EQ(hit.load(), 1);
    }
}

TEST_P(ThreadPoolTest, ManyShortLoopsInARow) {
  ThreadPool pool(GetParam());
  std::atomic<int64_t> sum{0};
  for (int round = 0; round < 5000; ++round)
    pool.parallel_for(8, 1, [&](int64_t begin, int64_t end) { sum.fetch_add(end - begin, std::memory_order_relaxed); });
  EXPECT_EQ(sum.load(), 8 * 5000);
}

TEST_P(ThreadPoolTest, WorkersWakeAfterSleep) {
  ThreadPool pool(GetParam());
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    std::atomic<int> done{0};
    pool.parallel_for(64, 1, [&](int64_t begin, int64_t end) { done.fetch_add(static_cast<int>(end - begin)); });
    EXPECT_EQ(done.load(), 64);
  }
}

INSTANTIATE_TEST_SUITE_P(Core, ThreadPoolTest, ::testing::Values(1, 2, 3, 8));

TEST(ThreadPool, ResultsOfALoopAreVisibleToTheCaller) {
  ThreadPool pool(4);
  std::vector<int> values(10000);
  for (int round = 1; round <= 50; ++round) {
    pool.parallel_for(10000, 100, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) values[i] = round;
    });
    for (int value : values) ASSERT_EQ(value, round);
  }
}

TEST(ThreadPool, UsableCoresIsPositive) { EXPECT_GE(usable_cores(), 1); }

constexpr int kNoLimit = 77;

// The stacks of so many threads do not fit: those that do fit work. In a child, whose limit is its own.
TEST(ThreadPool, FewerThreadsWhereTheSystemRefusesMore) {
  const pid_t child = ::fork();
  if (child == 0) {
    int64_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    const rlim_t limit = static_cast<rlim_t>(pages * ::sysconf(_SC_PAGESIZE)) + (rlim_t{100} << 20);
    const rlimit limits{limit, limit};
    ::setrlimit(RLIMIT_AS, &limits);
    if (::mmap(nullptr, size_t{1} << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
      ::_exit(kNoLimit);  // qemu-user does not keep it
    ThreadPool pool(500);
    std::atomic<int64_t> sum{0};
    pool.parallel_for(1000, 1, [&](int64_t begin, int64_t) { sum += begin; });
    std::string warning;
    warn_of_missing_threads(pool, Log([&warning](const std::string& message) { warning += message; }));
    const bool is_told = warning == "threads: the system starts only " + std::to_string(pool.threads()) + " of 500";
    ::_exit(pool.threads() < 500 && pool.wanted_threads() == 500 && sum == 999 * 500 && is_told ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status)) << "ended by signal " << WTERMSIG(status);
  if (WIFEXITED(status) && WEXITSTATUS(status) == kNoLimit)
    GTEST_SKIP() << "the system does not keep RLIMIT_AS (an emulator): missing threads cannot be had";
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(ThreadPool(3).wanted_threads(), 3);
}

}  // namespace
}  // namespace g3n
