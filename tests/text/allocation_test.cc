// Nothing is allocated in a forward pass after the first (style.md), but for pages: counted by operator new.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "text/models.h"

namespace {
thread_local bool counting = false;
thread_local int64_t allocations = 0;
}  // namespace

// Not inlined, or g++ takes free() for a mismatch.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  if (counting) ++allocations;
  if (void* memory = std::malloc(bytes ? bytes : 1)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {  // std::stable_sort's
  if (counting) ++allocations;
  return std::malloc(bytes ? bytes : 1);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace g3n::testing {
namespace {

TEST(TextModel, ForwardAllocatesNothingAfterTheFirstCall) {
  const TextModel& model = *tiny_text().model;
  const int64_t vocab = model.vocab_size();
  for (DType kv : {DType::kF32, DType::kQ8_0}) {
    const auto pages = make_pool(model, kv);
    const std::unique_ptr<SequenceCache> a = model.make_cache(pages, 4096), b = model.make_cache(pages, 4096);
    SequenceCache* const caches[] = {a.get(), b.get()};
    ThreadPool pool(1);
    Arena arena;
    Context ctx{.pool = pool, .kernels = best_kernels(), .arena = arena};
    std::vector<float> logits(static_cast<size_t>(3 * vocab));
    for (int32_t step = 0; step < 3; ++step) {
      std::vector<Row> rows;
      for (int32_t i = 0; i < 9; ++i)
        rows.push_back({.sequence = 0, .position = step * 9 + i, .id = 5 + i, .wants_logits = i > 6});
      rows.push_back({.sequence = 1, .position = step, .id = 9, .wants_logits = true});
      allocations = 0, counting = true;
      model.forward(ctx, {rows, caches, {}}, {logits.data(), {3, vocab}});
      a->commit(9), b->commit(1);
      counting = false;
      if (step > 0) {
        EXPECT_EQ(allocations, 0) << "step " << step;
      }
    }
  }
}

}  // namespace
}  // namespace g3n::testing
