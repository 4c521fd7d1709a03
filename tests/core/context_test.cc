#include "core/context.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <vector>

#include "kernels/table.h"

namespace g3n {
namespace {

class Recorder : public TapSink {
 public:
  bool wants(const std::string& name) override { return name != "unwanted"; }
  void record(const std::string& name, std::span<const int64_t> dims, const float* data, int) override {
    int64_t n = 1;
    for (int64_t d : dims) n *= d;
    values[name].assign(data, data + n);
  }
  std::map<std::string, std::vector<float>> values;
};

TEST(Context, TapsPackStridedViewsAndAskFirst) {
  ThreadPool pool(1);
  Arena arena;
  Recorder recorder;
  const KernelTable unused{};
  Context ctx{.pool = pool, .kernels = unused, .arena = arena, .taps = &recorder, .scope = "text.layer"};
  View<float, 2> v = ctx.scratch(2, 3);  // rows are 16 floats apart
  for (int r = 0; r < 2; ++r)
    for (int c = 0; c < 3; ++c) v.row(r)[c] = static_cast<float>(10 * r + c);
  ctx.tap("laurel", 7, v);
  ctx.tap("unwanted", v);
  EXPECT_EQ(recorder.values.at("text.layer.7.laurel"), (std::vector<float>{0, 1, 2, 10, 11, 12}));
  EXPECT_EQ(recorder.values.count("unwanted"), 0u);
}

// Rows begin at lines, and no step is a multiple of 4096 bytes: one column of all rows would share sets of the caches.
TEST(Context, RowsOfScratchLieApart) {
  ThreadPool pool(1);
  Arena arena;
  const KernelTable unused{};
  Context ctx{.pool = pool, .kernels = unused, .arena = arena};
  for (const int64_t cols : {1, 16, 17, 1023, 1024, 2048, 3072, 8192, 8200}) {
    const View<float, 2> rows = ctx.scratch(3, cols);
    const View<float, 3> planes = ctx.scratch(2, 3, cols);
    EXPECT_EQ(planes.step[1], rows.step[0]);
    EXPECT_EQ(planes.step[0], 3 * rows.step[0]);
    EXPECT_GE(rows.step[0], cols);
    EXPECT_LT(rows.step[0], cols + 32);
    EXPECT_EQ(rows.step[0] % 16, 0);
    EXPECT_NE(rows.step[0] % 1024, 0);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(rows.row(1)) % 64, 0u);
  }
}

TEST(Context, CallsBetweenBlocks) {
  ThreadPool pool(1);
  Arena arena;
  const KernelTable unused{};
  int calls = 0;
  const std::function<void()> between = [&] {
    if (++calls == 2) throw Error(ErrorCode::kCancelled, "enough");
  };
  Context ctx{.pool = pool, .kernels = unused, .arena = arena};
  ctx.between_blocks();
  ctx.between = &between;
  ctx.between_blocks();
  EXPECT_EQ(calls, 1);
  EXPECT_THROW(ctx.between_blocks(), Error);
}

}  // namespace
}  // namespace g3n
