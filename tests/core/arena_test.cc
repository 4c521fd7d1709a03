#include "core/arena.h"

#include <gtest/gtest.h>

#include <cstdint>

#include "g3n/error.h"

namespace g3n {
namespace {

TEST(Arena, MemoryIsAlignedAndReusedAfterAScope) {
  Arena arena;
  void* first = nullptr;
  for (int round = 0; round < 3; ++round) {
    ArenaScope scope(arena);
    void* taken = arena.take(100);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(taken) % kAlignment, 0u);
    if (!first) first = taken;
    EXPECT_EQ(taken, first);
  }
}

TEST(Arena, PiecesDoNotOverlapAcrossBlocks) {
  Arena arena;
  std::byte* a = static_cast<std::byte*>(arena.take(700 << 10));
  std::byte* b = static_cast<std::byte*>(arena.take(700 << 10));  // does not fit beside a in a block of 1 MiB
  std::byte* c = static_cast<std::byte*>(arena.take(5 << 20));
  std::fill_n(a, 700 << 10, std::byte{1});
  std::fill_n(b, 700 << 10, std::byte{2});
  std::fill_n(c, 5 << 20, std::byte{3});
  EXPECT_EQ(a[(700 << 10) - 1], std::byte{1});
  EXPECT_EQ(b[(700 << 10) - 1], std::byte{2});
  EXPECT_GE(arena.peak_bytes(), size_t{(1400 << 10) + (5 << 20)});
}

TEST(Buffer, IsZeroedAndMoves) {
  Buffer<float> a(17);
  for (int64_t i = 0; i < a.size(); ++i) EXPECT_EQ(a[i], 0.0f);
  a[3] = 4;
  Buffer<float> b = std::move(a);
  EXPECT_EQ(b[3], 4.0f);
  EXPECT_EQ(a.size(), 0);
}

TEST(Buffer, TooMuchMemoryIsAnError) {
  try {
    aligned_bytes(SIZE_MAX - 10);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kOutOfMemory);
  }
}

}  // namespace
}  // namespace g3n
