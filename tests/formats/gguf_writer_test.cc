// GgufWriter: the bytes that GGUF version 3 asks for, read back here by hand.
#include "formats/gguf_writer.h"

#include <cstring>
#include <filesystem>

#include "support/errors.h"

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

}  // namespace
}  // namespace g3n::testing
