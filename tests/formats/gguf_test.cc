// The GGUF reader: typed keys, tensors, shards, and the 36 broken files of tests/golden/data/gguf, each refused for its
// own reason.
#include "formats/gguf.h"

#include <cstring>
#include <filesystem>
#include <random>

#include "support/errors.h"
#include "formats/gguf_writer.h"
#include "json/config.h"
#include "support/source_path.h"

namespace g3n::testing {
namespace {

using ::testing::ElementsAre;

const std::string kFolder = source_path("tests/golden/data/gguf/");

// The words of the message that a broken file must give.
const std::map<std::string, std::string> kWords = {
    {"empty", "the file is empty"},
    {"magic", "magic"},
    {"version_1", "version 1,"},
    {"version_4", "version 4,"},
    {"big_endian", "big-endian"},
    {"truncated_header", "ends inside the header"},
    {"truncated_data", "end after the file"},
    {"tensor_count", "tensors are more than the file can hold"},
    {"kv_count", "keys are more than the file can hold"},
    {"key_length", "a key: a string of"},
    {"value_length", "is longer than the file"},
    {"array_count", "elements is longer than the file"},
    {"array_count_overflow", "elements is longer than the file"},
    {"array_nested", "nested more than 8 deep"},
    {"value_type", "unknown value type 13"},
    {"duplicate_key", "the key stands there twice"},
    {"empty_key", "an empty key"},
    {"alignment_type", "general.alignment: expected a u32, found the string"},
    {"alignment_zero", "expected a power of two up to 1048576, found 0"},
    {"alignment_24", "expected a power of two up to 1048576, found 24"},
    {"alignment_huge", "expected a power of two up to 1048576, found 2147483648"},
    {"dimensions_5", "expected 1 to 4 dimensions, found 5"},
    {"dimension_zero", "found 0"},
    {"dimension_negative", "expected dimensions from 1 to 2^63 - 1"},
    {"dimension_product", "the product of its dimensions"},
    {"byte_product", "the bytes of"},
    {"row_not_blocks", "rows of 48 values are not whole blocks of Q8_0 (32)"},
    {"tensor_type", "unknown tensor type 99"},
    {"tensor_type_removed", "removed tensor type 4"},
    {"duplicate_tensor", "the tensor name stands there twice"},
    {"offset_unaligned", "is no multiple of the alignment 32"},
    {"offset_overflow", "end after the file"},
    {"overlap", "overlaps the tensor before"}};

TEST(Gguf, EveryBrokenFileIsRefusedForItsReason) {
  const Config reasons = Config::load(kFolder + "manifest.json").object("broken");
  ASSERT_EQ(reasons.keys().size(), 36u);
  for (const std::string& file_name : reasons.keys()) {
    const std::string path = kFolder + file_name, name = std::filesystem::path(path).stem();
    SCOPED_TRACE(name + ": " + reasons.text(file_name));
    if (name.starts_with("arch_")) continue;  // as a container nothing is wrong with it: tests/checkpoint
    ASSERT_TRUE(kWords.contains(name));
    try {
      const GgufFile file(path);
      for (const GgufTensor& tensor : file.tensors()) tensor.dtype_or_fail();
      ADD_FAILURE() << "was accepted";
    } catch (const Error& error) {
      EXPECT_TRUE(error.code() == ErrorCode::kBadFile || error.code() == ErrorCode::kUnsupported) << error.what();
      EXPECT_THAT(error.what(), ::testing::HasSubstr(kWords.at(name)));
      EXPECT_THAT(error.what(), ::testing::StartsWith(path));
    }
  }
}

TEST(Gguf, TensorsAreThoseOfTheManifest) {
  const Config files = Config::load(kFolder + "manifest.json").object("files");
  for (const std::string name : {"text-bf16.gguf", "text-mixed.gguf"}) {
    const GgufFile file(kFolder + name);
    const Config records = files.object(name).object("tensors");
    ASSERT_EQ(file.tensors().size(), records.keys().size());
    for (const GgufTensor& tensor : file.tensors()) {
      ASSERT_TRUE(records.has(tensor.name)) << tensor.name;
      const Config record = records.object(tensor.name);
      EXPECT_EQ(tensor.ne, record.integers("ne"));
      EXPECT_EQ(tensor.bytes, record.integer("bytes"));
      EXPECT_EQ(tensor.data - file.tensors()[0].data, record.integer("offset"));
      EXPECT_EQ(dtype_name(tensor.dtype_or_fail()), record.text("type"));
    }
  }
}

TEST(Gguf, AnyShardGivesTheWhole) {
  const GgufFile whole(kFolder + "text-mixed.gguf");
  for (int shard = 1; shard <= 4; ++shard) {
    const GgufFile split(kFolder + "text-mixed-split-0000" + std::to_string(shard) + "-of-00004.gguf");
    ASSERT_EQ(split.tensors().size(), whole.tensors().size());
    EXPECT_EQ(split.metadata().text("general.architecture"), "gemma3n");
    for (const GgufTensor& want : whole.tensors()) {
      const GgufTensor* got = split.find(want.name);
      ASSERT_NE(got, nullptr) << want.name;
      EXPECT_EQ(got->ne, want.ne);
      ASSERT_EQ(got->bytes, want.bytes);
      EXPECT_EQ(std::memcmp(got->data, want.data, static_cast<size_t>(want.bytes)), 0) << want.name;
      const FileRange range = split.range(got->data);
      std::vector<std::byte> read(static_cast<size_t>(want.bytes));
      EXPECT_EQ(::pread(range.fd, read.data(), read.size(), range.offset), want.bytes);
      EXPECT_EQ(std::memcmp(read.data(), want.data, read.size()), 0) << want.name;
    }
  }
}

TEST(Gguf, ShardsThatDoNotMatch) {
  const TemporaryFolder folder;
  const auto copy = [&](int from, int to) {
    const auto name = [](int i) { return "-0000" + std::to_string(i) + "-of-00004.gguf"; };
    std::filesystem::copy_file(kFolder + "text-mixed-split" + name(from), folder / ("a" + name(to)),
                               std::filesystem::copy_options::overwrite_existing);
  };
  copy(1, 1), copy(2, 2), copy(4, 4);
  const std::string first = folder / "a-00001-of-00004.gguf";
  EXPECT_ERROR(ErrorCode::kNotFound, GgufFile{first}, "a-00003-of-00004.gguf: shard 3 of 4 is missing");
  copy(2, 3);
  EXPECT_ERROR(ErrorCode::kBadFile, GgufFile{first},
               "a-00003-of-00004.gguf: split.no: expected 2 as its name says, found 1");
  std::filesystem::copy_file(first, folder / "blob");
  EXPECT_ERROR(ErrorCode::kBadFile, GgufFile(folder / "blob"), "expected a name ending in -00001-of-00004.gguf");
}

TEST(Gguf, TypedKeys) {
  const TemporaryFolder folder;
  GgufWriter writer(folder / "sha256-0123");
  writer.set("general.architecture", "gemma3n");
  writer.set("n", uint32_t{7});
  writer.set("whole", 10.0f);
  writer.set("part", 1.5f);
  writer.set("flag", true);
  writer.set("ids", std::vector<int32_t>{-1, 5});
  writer.set("flags", std::vector<bool>{true, false});
  writer.set("words", std::vector<std::string>{"a", "", "bc"});
  writer.begin_data();
  writer.finish();
  const GgufFile file(folder / "sha256-0123");
  const GgufMetadata& m = file.metadata();
  EXPECT_EQ(m.integer("n"), 7);
  EXPECT_EQ(m.integer("whole"), 10);  // shared_kv_layers of 2025
  EXPECT_EQ(m.number("part"), 1.5);
  EXPECT_TRUE(m.boolean("flag"));
  EXPECT_THAT(m.integers("ids"), ElementsAre(-1, 5));
  EXPECT_THAT(m.integers("n"), ElementsAre(7));
  EXPECT_THAT(m.booleans("flags"), ElementsAre(true, false));
  EXPECT_THAT(m.texts("words"), ElementsAre("a", "", "bc"));
  EXPECT_EQ(m.integer("absent", 3), 3);
  EXPECT_EQ(m.count("words"), 3);
  EXPECT_ERROR(ErrorCode::kBadFile, m.integer("part"),
               "sha256-0123: part: expected whole numbers up to 2^53, found 1.5 (f32)");
  EXPECT_ERROR(ErrorCode::kBadFile, m.integer("n", {}, 0, 6), "n: expected a whole number from 0 to 6, found 7 (u32)");
  EXPECT_ERROR(ErrorCode::kBadFile, m.integer("ids"), "ids: expected a whole number, found a list of 2 (i32)");
  EXPECT_ERROR(ErrorCode::kBadFile, m.text("n"), "n: expected a string, found 7");
  EXPECT_ERROR(ErrorCode::kBadFile, m.boolean("absent"), "absent: expected true or false, found nothing");
  EXPECT_ERROR(ErrorCode::kBadFile, m.numbers("words"), "words: expected numbers, found a list of 3 (a string)");
}

// Whatever the bytes: contents or Error, nothing outside the file is read (run under the sanitizers).
TEST(Gguf, DamagedHeadersAreContentsOrError) {
  const std::string head = slurp(kFolder + "text-mixed-split-00001-of-00004.gguf");
  std::mt19937 random(7);
  int errors = 0;
  for (int i = 0; i < 400; ++i) {
    std::string damaged = head;
    for (int k = 0; k < 3; ++k) damaged[random() % (i % 2 ? damaged.size() : 600)] = static_cast<char>(random());
    damaged.resize(i % 5 ? damaged.size() : random() % damaged.size());
    try {
      const GgufContents contents = parse_gguf(std::as_bytes(std::span(damaged)), "damaged");
      for (const std::string& key : contents.metadata.keys())
        if (contents.metadata.is_text(key)) contents.metadata.text(key);
    } catch (const Error&) {
      ++errors;
    }
  }
  EXPECT_GT(errors, 40);
}

}  // namespace
}  // namespace g3n::testing
