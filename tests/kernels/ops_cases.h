// What the tests of ops.h share: a context with some threads, and views of vectors.
#pragma once
#include <gtest/gtest.h>

#include <vector>

#include "kernels/ops.h"
#include "kernels/table_cases.h"

namespace g3n::test {

struct TestContext {
  ThreadPool pool;
  Arena arena;
  Context ctx;
  explicit TestContext(int threads, const KernelTable& table = best_kernels(), ComputeType compute = ComputeType::kF32)
      : pool(threads), ctx{pool, table, arena, compute} {}
  operator Context&() { return ctx; }
};

inline View<const float, 2> matrix(const std::vector<float>& v, int64_t rows, int64_t cols) {
  return {v.data(), {rows, cols}};
}
inline View<float, 2> matrix(std::vector<float>& v, int64_t rows, int64_t cols) { return {v.data(), {rows, cols}}; }
inline View<const float, 3> cube(const std::vector<float>& v, int64_t a, int64_t b, int64_t c) {
  return {v.data(), {a, b, c}};
}
inline View<float, 3> cube(std::vector<float>& v, int64_t a, int64_t b, int64_t c) { return {v.data(), {a, b, c}}; }

// f(context, out) on 1, 2 and 3 threads must give the same bits; returns them.
template <typename F>
std::vector<float> same_on_all_threads(size_t size, F f, ComputeType compute = ComputeType::kF32) {
  std::vector<float> first;
  for (int threads : {1, 2, 3}) {
    TestContext context(threads, best_kernels(), compute);
    std::vector<float> out(size, NAN);
    f(context.ctx, out);
    if (threads == 1)
      first = out;
    else
      EXPECT_THAT(out, SameBits(first)) << threads << " threads";
  }
  return first;
}

}  // namespace g3n::test
