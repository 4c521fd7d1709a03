// What GGUF files of the tests are made with: block encoders, files of random weights.
#include "tools/gguf_maker.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>

#include "kernels/pack.h"
#include "support/errors.h"
#include "support/source_path.h"
#include "tools/block_encoders.h"

namespace g3n::testing {
namespace {

// Values that a block holds, by the formulas of the format.
float decoded(DType dtype, const uint8_t* b, int i) {
  const auto half = [b](int at) {
    uint16_t bits;
    std::memcpy(&bits, b + at, 2);
    return f16_to_f32(bits);
  };
  if (dtype == DType::kQ4_0) return half(0) * static_cast<float>((i < 16 ? b[2 + i] & 15 : b[2 + i - 16] >> 4) - 8);
  if (dtype == DType::kQ8_0) return half(0) * static_cast<float>(static_cast<int8_t>(b[2 + i]));
  const int n = i / 128, k = i % 128 / 32, l = i % 32;
  const int q = (b[64 * n + 32 * (k % 2) + l] >> 4 * (k / 2) & 15) | (b[128 + 32 * n + l] >> 2 * k & 3) << 4;
  return half(208) * static_cast<float>(static_cast<int8_t>(b[192 + i / 16])) * static_cast<float>(q - 32);
}

TEST(BlockEncoders, ValuesComeBackWithinHalfAStep) {
  std::vector<float> x(256);
  for (int i = 0; i < 256; ++i)
    x[static_cast<size_t>(i)] = std::sin(static_cast<float>(i) * 1.7f) * (0.1f + static_cast<float>(i / 16) * 0.05f);
  for (const auto& [dtype, steps] : {std::pair{DType::kQ4_0, 14.0f}, {DType::kQ8_0, 250.0f}, {DType::kQ6_K, 57.0f}}) {
    std::vector<std::byte> bytes(static_cast<size_t>(dtype_bytes(dtype, 256)));
    encode_values(dtype, x.data(), 256, bytes.data());
    const int block = static_cast<int>(dtype_facts(dtype).block_values);
    for (int i = 0; i < 256; ++i) {
      float most = 0;
      const int group = dtype == DType::kQ6_K ? 16 : 32;
      for (int j = i / group * group; j < i / group * group + group; ++j)
        most = std::max(most, std::fabs(x[static_cast<size_t>(j)]));
      const uint8_t* at = reinterpret_cast<const uint8_t*>(bytes.data()) + i / block * dtype_facts(dtype).block_bytes;
      EXPECT_NEAR(decoded(dtype, at, i % block), x[static_cast<size_t>(i)], 2.2f * most / steps)
          << dtype_name(dtype) << " value " << i;
    }
  }
}

// A value comes back within half a step of its 32, and half a unit of the scale and of the minimum, each in six bits.
TEST(BlockEncoders, CodesWithAMinimumComeBackWithinHalfAStep) {
  std::vector<float> x(256), got(256);
  for (int i = 0; i < 256; ++i)
    x[static_cast<size_t>(i)] =
        0.02f + std::sin(static_cast<float>(i) * 1.7f) * (0.1f + static_cast<float>(i / 32) * 0.1f);
  x[5] = 0.3f;
  for (const auto& [dtype, levels] : {std::pair{DType::kQ4_K, 15.0f}, {DType::kQ5_K, 31.0f}}) {
    std::vector<std::byte> bytes(static_cast<size_t>(dtype_bytes(dtype)));
    encode_values(dtype, x.data(), 256, bytes.data());
    decode_values(dtype, bytes.data(), 256, got.data());
    float most_range = 0, most_minimum = 0;
    const auto range_of = [&](size_t block) {
      const auto [low, high] = std::minmax_element(&x[block * 32], &x[block * 32] + 32);
      most_minimum = std::max(most_minimum, -*low);
      return *high - *low;
    };
    for (size_t j = 0; j < 8; ++j) most_range = std::max(most_range, range_of(j));
    for (size_t i = 0; i < 256; ++i)
      EXPECT_NEAR(got[i], x[i], range_of(i / 32) / levels * 0.55f + (most_range + most_minimum) / 126.0f * 1.05f)
          << dtype_name(dtype) << " value " << i;
  }
}

// Walks a file from its first byte on.
struct Cursor {
  const std::string& bytes;
  size_t at = 0;
  template <typename T>
  T take() {
    T value{};
    EXPECT_LE(at + sizeof value, bytes.size());
    std::memcpy(&value, bytes.data() + at, sizeof value);
    at += sizeof value;
    return value;
  }
  std::string text() {
    const uint64_t size = take<uint64_t>();
    at += size;
    return bytes.substr(at - size, size);
  }
};

TEST(RandomGguf, IsAWholeFileWithATokenForEveryRow) {
  const TemporaryFolder folder;
  const std::string path = folder / "tiny.gguf";
  ThreadPool pool(2);
  write_random_gguf(pool, source_path("tests/golden/data/tiny/config.json"), path, DType::kQ8_0);
  const std::string bytes = slurp(path);
  Cursor c{bytes};
  c.at = 8;
  const uint64_t tensors = c.take<uint64_t>(), keys = c.take<uint64_t>();
  std::set<std::string> pieces;
  uint64_t token_count = 0;
  constexpr size_t kSizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  for (uint64_t i = 0; i < keys; ++i) {
    const std::string key = c.text();
    const uint32_t type = c.take<uint32_t>();
    if (type == 8)
      c.text();
    else if (type != 9)
      c.at += kSizes[type];
    else {
      const uint32_t element = c.take<uint32_t>();
      const uint64_t count = c.take<uint64_t>();
      if (element != 8)
        c.at += kSizes[element] * count;
      else
        for (uint64_t j = 0; j < count; ++j) pieces.insert(c.text());
      if (key == "tokenizer.ggml.tokens") token_count = count;
    }
  }
  EXPECT_EQ(pieces.size(), token_count) << "pieces are unique";
  std::map<std::string, std::vector<uint64_t>> shapes;
  for (uint64_t i = 0; i < tensors; ++i) {
    const std::string name = c.text();
    for (uint32_t axes = c.take<uint32_t>(); axes > 0; --axes) shapes[name].push_back(c.take<uint64_t>());
    c.take<uint32_t>(), c.take<uint64_t>();
  }
  EXPECT_EQ(shapes.at("token_embd.weight").at(1), token_count);
  EXPECT_EQ(shapes.at("per_layer_token_embd.weight").at(1), token_count) << "padded with zero rows";
  EXPECT_EQ(shapes.at("altup_proj.weight").at(2), 3u);
  EXPECT_TRUE(shapes.contains("blk.0.attn_k.weight"));
  EXPECT_EQ(bytes.size() % 32, 0u);
}

}  // namespace
}  // namespace g3n::testing
