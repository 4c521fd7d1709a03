// GgufWriter: the bytes that GGUF version 3 asks for, read back here by hand; and the encoders and files of
// random_gguf.
#include "formats/gguf_writer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>

#include "support/errors.h"
#include "kernels/pack.h"
#include "support/source_path.h"
#include "tools/block_encoders.h"
#include "tools/gguf_maker.h"

namespace g3n::testing {
namespace {

TEST(GgufWriter, BytesAreThoseOfTheFormat) {
  const TemporaryFolder folder;
  const std::string path = folder / "out.gguf";
  GgufWriter writer(path);
  writer.set("general.architecture", "gemma3n");
  writer.set("n", uint32_t{7});
  writer.set("x", 1.5f);
  writer.set("b", true);
  writer.set("list", std::vector<float>{1, 2});
  writer.set("words", std::vector<std::string>{"a", ""});
  const size_t a = writer.declare("a", DType::kF32, {3}), q = writer.declare("q", DType::kQ4_0, {2, 64});
  writer.begin_data();
  const std::vector<float> values = {1, 2, 3};
  writer.write(a, 0, std::as_bytes(std::span(values)));
  const std::vector<std::byte> block(18, std::byte{9});
  writer.write(q, 18, block);
  EXPECT_THROW(writer.write(q, 60, block), Error);
  EXPECT_THROW(writer.declare("late", DType::kF32, {1}), Error);
  EXPECT_FALSE(std::filesystem::exists(path));
  writer.finish();

  const std::string bytes = slurp(path);
  std::string want = "GGUF";
  const auto put = [&want](auto value) { want.append(reinterpret_cast<const char*>(&value), sizeof value); };
  const auto text = [&](const std::string& value) { put(uint64_t{value.size()}), want += value; };
  const auto key = [&](const std::string& name, uint32_t type) { text(name), put(type); };
  put(uint32_t{3}), put(uint64_t{2}), put(uint64_t{6});
  key("general.architecture", 8), text("gemma3n");
  key("n", 4), put(uint32_t{7});
  key("x", 6), put(1.5f);
  key("b", 7), put(uint8_t{1});
  key("list", 9), put(uint32_t{6}), put(uint64_t{2}), put(1.0f), put(2.0f);
  key("words", 9), put(uint32_t{8}), put(uint64_t{2}), text("a"), text("");
  text("a"), put(uint32_t{1}), put(uint64_t{3}), put(uint32_t{0}), put(uint64_t{0});
  text("q"), put(uint32_t{2}), put(uint64_t{64}), put(uint64_t{2}), put(uint32_t{2}),
      put(uint64_t{32});  // axes reversed; behind 12 bytes, padded
  EXPECT_EQ(bytes.substr(0, want.size()), want);
  const size_t data = (want.size() + 31) / 32 * 32;
  EXPECT_EQ(bytes.size(), data + 32 + 96);  // 4 blocks of 18, padded
  EXPECT_EQ(std::memcmp(bytes.data() + data, values.data(), 12), 0);
  EXPECT_EQ(bytes[data + 32 + 17], 0);
  EXPECT_EQ(bytes[data + 32 + 18], 9);
}

TEST(GgufWriter, RefusesWhatNoReaderTakes) {
  const TemporaryFolder folder;
  GgufWriter writer(folder / "out.gguf");
  writer.set("k", true);
  EXPECT_THROW(writer.set("k", 1.0f), Error);
  writer.declare("t", DType::kF32, {1});
  EXPECT_THROW(writer.declare("t", DType::kF32, {1}), Error);
  EXPECT_THROW(writer.declare("half a block", DType::kQ8_0, {2, 48}), Error);
  EXPECT_THROW(writer.declare(std::string(64, 'n'), DType::kF32, {1}), Error);
  EXPECT_THROW(writer.declare("five axes", DType::kF32, {1, 1, 1, 1, 1}), Error);
  EXPECT_THROW(writer.declare("none", DType::kF32, {0}), Error);
  EXPECT_THROW(writer.declare("no type of GGUF", DType::kU8, {1}), Error);
  EXPECT_THROW(writer.declare("too large", DType::kF32, {int64_t{1} << 40, int64_t{1} << 40}), Error);
}

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
