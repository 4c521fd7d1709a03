#include "text/kv_cache.h"

#include <gtest/gtest.h>

#include "g3n/error.h"

namespace g3n {
namespace {

TextConfig config() {
  return TextConfig::from(Config::parse(
      R"({"text_config": {"num_hidden_layers": 6, "num_kv_shared_layers": 1, "head_dim": 8, "num_attention_heads": 2,
    "num_key_value_heads": 2, "sliding_window": 16, "activation_sparsity_pattern": 0.0}})",
      "config.json"));
}

TEST(KvCache, RingsHoldTheWindowBesideTheChunk) {
  const KvCache cache(config(), DType::kF32, 1000, 10);
  const KeyValues sliding = cache.layer(0);
  EXPECT_EQ(sliding.ring_positions, 64);  // round_up(15 + 10 + 31, 32)
  EXPECT_EQ(sliding.page_positions, 64);
  EXPECT_EQ(cache.layer(4).ring_positions, 0);
}

TEST(KvCache, MemoryGrowsOnlyInFullLayers) {
  KvCache cache(config(), DType::kBF16, 1000, 200);
  const int64_t before = cache.bytes();
  cache.reserve(200);
  cache.commit(200);
  const int64_t page = kv_page_bytes(DType::kBF16, 2, 8, 256);
  EXPECT_EQ(cache.bytes(), before + page);
  cache.reserve(100);
  cache.commit(100);
  EXPECT_EQ(cache.bytes(), before + 2 * page);
  cache.clear();
  EXPECT_EQ(cache.length(), 0);
  EXPECT_EQ(cache.bytes(), before + 2 * page);
}

TEST(KvCache, BoundsAreErrors) {
  KvCache cache(config(), DType::kF32, 50, 40);
  EXPECT_THROW(cache.reserve(41), Error);
  cache.reserve(40);
  cache.commit(40);
  try {
    cache.reserve(11);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kContextFull);
    EXPECT_EQ(std::string(e.what()), "the context is full: 51 positions needed, the context has 50");
  }
}

}  // namespace
}  // namespace g3n
