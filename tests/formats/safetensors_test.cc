// The safetensors reader: good files, hostile headers, shards, and a small fuzz: whatever the bytes, contents or Error.
#include "formats/safetensors.h"

#include <chrono>
#include <cstring>
#include <random>

#include "formats/safetensors_source.h"
#include "formats/shard_index.h"
#include "support/errors.h"

namespace g3n::testing {
namespace {

using ::testing::ElementsAre;

const std::string kTwo =
    R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"b":{"dtype":"BF16","shape":[4],"data_offsets":[24,32]}})";

SafetensorsContents parse(const std::string& bytes) {
  return parse_safetensors(std::as_bytes(std::span(bytes)), "m.safetensors");
}
std::string one(const std::string& fields) { return "{\"t\":{" + fields + "}}"; }

TEST(Safetensors, ReadsTensorsInDataOrderAndMetadata) {
  const std::string bytes = safetensors(kTwo, 32);
  const SafetensorsContents contents = parse(bytes);
  ASSERT_EQ(contents.tensors.size(), 2u);
  EXPECT_EQ(contents.tensors[0].name, "a");
  EXPECT_EQ(contents.tensors[0].dtype, DType::kF32);
  EXPECT_THAT(contents.tensors[0].shape, ElementsAre(2, 3));
  EXPECT_EQ(contents.tensors[1].bytes, 8);
  EXPECT_EQ(reinterpret_cast<const char*>(contents.tensors[1].data), bytes.data() + 8 + kTwo.size() + 24);
  EXPECT_EQ(contents.metadata.at("format"), "pt");
}

TEST(Safetensors, ScalarsEmptyTensorsAndPaddedHeaders) {
  const std::string header =
      R"({"s":{"dtype":"I64","shape":[],"data_offsets":[0,8]},"z":{"dtype":"F32","shape":[0,5],"data_offsets":[8,8]},"__metadata__":null}   )";
  const std::string bytes = safetensors(header, 8);
  const SafetensorsContents contents = parse(bytes);
  EXPECT_EQ(contents.tensors.size(), 2u);
  EXPECT_EQ(contents.tensors[1].bytes, 0);
  EXPECT_TRUE(parse(safetensors("{}", 0)).tensors.empty());
}

TEST(Safetensors, LengthsThatDoNotFit) {
  EXPECT_ERROR(ErrorCode::kBadFile, parse("abc"), "m.safetensors: the file is 3 bytes");
  EXPECT_ERROR(ErrorCode::kBadFile, parse(safetensors(kTwo, 32).substr(0, 60)),
               "truncated: the file is 60 bytes, its header needs " + std::to_string(kTwo.size() + 8));
  EXPECT_ERROR(ErrorCode::kBadFile, parse(safetensors(kTwo, 20)),
               "truncated: the file is " + std::to_string(kTwo.size() + 28) + " bytes, its header needs " +
                   std::to_string(kTwo.size() + 40));
  EXPECT_ERROR(ErrorCode::kBadFile, parse(safetensors(kTwo, 33)), "too long");
  EXPECT_ERROR(ErrorCode::kBadFile, parse(std::string(8, '\xff') + "{}"), "header of 18446744073709551615 bytes");
}

TEST(Safetensors, HeadersThatAreNotHeaders) {
  EXPECT_ERROR(ErrorCode::kBadFile, parse(safetensors("[1]", 0)), "expected a JSON object");
  EXPECT_ERROR(ErrorCode::kBadFile, parse(safetensors("{\"a\":}", 0)), "not valid JSON");
  EXPECT_ERROR(ErrorCode::kBadFile, parse(safetensors("", 0)), "expected a JSON object");
  EXPECT_ERROR(ErrorCode::kBadFile, parse(safetensors("{\"t\":5}", 0)), "m.safetensors: t: expected {");
  EXPECT_ERROR(ErrorCode::kBadFile, parse(safetensors("{\"t\":[1]}", 0)), "t: expected {");
  EXPECT_ERROR(ErrorCode::kBadFile, parse(safetensors("{\"t\":{}}", 0)), "t: expected dtype, shape and data_offsets");
  EXPECT_ERROR(ErrorCode::kBadFile, parse(safetensors("{\"__metadata__\":{\"a\":1}}", 0)),
               "__metadata__: expected an object of strings");
  EXPECT_ERROR(ErrorCode::kBadFile, parse(safetensors("{\"t\":{\"x\":" + std::string(1000, '{'), 0)), "JSON");
  EXPECT_ERROR(ErrorCode::kBadFile, parse("GGUF\x03.........."), "found GGUF");
  EXPECT_ERROR(ErrorCode::kBadFile, parse("PK\x03\x04............"), "PyTorch pickle");
  EXPECT_ERROR(ErrorCode::kBadFile, parse("version https://git-lfs.github.com/spec/v1\n"), "git-lfs");
}

TEST(Safetensors, TensorsThatDoNotFit) {
  EXPECT_ERROR(ErrorCode::kBadFile, parse(safetensors(one(R"("dtype":"F99","shape":[1],"data_offsets":[0,4])"), 4)),
               "t: unknown dtype \"F99\"");
  EXPECT_ERROR(ErrorCode::kUnsupported, parse(safetensors(one(R"("dtype":"U32","shape":[1],"data_offsets":[0,4])"), 4)),
               "t: dtype U32", "unquantised");
  EXPECT_ERROR(ErrorCode::kBadFile, parse(safetensors(one(R"("dtype":"F32","shape":[-1],"data_offsets":[0,4])"), 4)),
               "found -1");
  EXPECT_ERROR(ErrorCode::kBadFile, parse(safetensors(one(R"("dtype":"F32","shape":[1.5],"data_offsets":[0,4])"), 4)),
               "t: expected {");
  EXPECT_ERROR(ErrorCode::kBadFile,
               parse(safetensors(
                   one(R"("dtype":"F32","shape":[4611686018427387904,4611686018427387904],"data_offsets":[0,4])"), 4)),
               "overflows");
  EXPECT_ERROR(ErrorCode::kBadFile, parse(safetensors(one(R"("dtype":"F32","shape":[2],"data_offsets":[0,4])"), 4)),
               "F32 [2] needs 8 bytes, data_offsets give 4");
  EXPECT_ERROR(ErrorCode::kBadFile, parse(safetensors(one(R"("dtype":"F32","shape":[1],"data_offsets":[4,0])"), 4)),
               "the end is before the begin");
  EXPECT_ERROR(ErrorCode::kBadFile, parse(safetensors(one(R"("dtype":"F32","shape":[1],"data_offsets":[4,8])"), 8)),
               "hole");
  EXPECT_ERROR(ErrorCode::kBadFile, parse(safetensors(one(R"("dtype":"F32","shape":[1],"data_offsets":[0])"), 4)),
               "expected 2 numbers");
  EXPECT_ERROR(ErrorCode::kBadFile,
               parse(safetensors(one(R"("dtype":"F32","shape":[1],"data_offsets":[0,18446744073709551615])"), 4)),
               "t: expected {");
  EXPECT_ERROR(ErrorCode::kBadFile,
               parse(safetensors(one(R"("dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4])"), 4)),
               "dtype appears twice");
  const std::string overlapping =
      R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})";
  EXPECT_ERROR(ErrorCode::kBadFile, parse(safetensors(overlapping, 12)), "b: data_offsets [4, 12] overlap");
  const std::string twice =
      R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})";
  EXPECT_ERROR(ErrorCode::kBadFile, parse(safetensors(twice, 2)), "a: the header names it twice");
  const std::string long_name =
      "{\"" + std::string(70000, 'n') + "\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}";
  EXPECT_ERROR(ErrorCode::kBadFile, parse(safetensors(long_name, 1)), "a tensor name of 70000 bytes");
}

// Fields that nobody here knows, of whatever type.
TEST(Safetensors, UnknownFieldsOfATensorAreSkipped) {
  for (const char* field : {R"("more":5)", R"("more":-5)", R"("more":"x")", R"("more":true)", R"("more":1.5)",
                            R"("more":null)", R"("more":[1,-2,"x"])", R"("more":{"shape":[-1]})"})
    parse(safetensors(one(std::string(R"("dtype":"F32","shape":[1],)") + field + R"(,"data_offsets":[0,4])"), 4));
  EXPECT_ERROR(ErrorCode::kBadFile, parse(safetensors(one(R"("dtype":5,"shape":[1],"data_offsets":[0,4])"), 4)),
               "t: expected {");
  EXPECT_ERROR(ErrorCode::kBadFile, parse(safetensors(one(R"("dtype":"F32","shape":1,"data_offsets":[0,4])"), 4)),
               "t: expected {");
}

TEST(Safetensors, SeventeenHundredTensorsParseQuickly) {
  std::string header = "{";
  for (int i = 0; i < 1700; ++i) {
    const std::string name = "model.language_model.layers." + std::to_string(i) + ".self_attn.q_proj.weight";
    header += (i ? ",\"" : "\"") + name + R"(":{"dtype":"BF16","shape":[2,2],"data_offsets":[)" +
              std::to_string(8 * i) + "," + std::to_string(8 * i + 8) + "]}";
  }
  const std::string bytes = safetensors(header + "}", 1700 * 8);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(parse(bytes).tensors.size(), 1700u);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(500));
}

std::string tensor_file(const std::string& name) {
  return safetensors("{\"" + name + R"(":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4);
}

TEST(SafetensorsShards, AreOneSource) {
  const TemporaryFolder folder;
  folder.write("index.json",
               R"({"metadata":{"total_size":8},"weight_map":{"a":"s1.safetensors","b":"s2.safetensors"}})");
  folder.write("s1.safetensors", tensor_file("a"));
  folder.write("s2.safetensors", tensor_file("b"));
  const auto shards = open_safetensors_shards(folder / "index.json");
  EXPECT_EQ(shards->tensors().size(), 2u);
  ASSERT_TRUE(shards->find("b"));
  EXPECT_EQ(shards->find("b")->file, folder / "s2.safetensors");
  const TensorInfo& b = *shards->find("b");
  std::string read(static_cast<size_t>(b.bytes), '\0');
  EXPECT_EQ(::pread(b.range.fd, read.data(), read.size(), b.range.offset), b.bytes);
  EXPECT_EQ(std::memcmp(read.data(), b.data, read.size()), 0);
  shards->will_need(*shards->find("b"));
  shards->drop(*shards->find("b"));
  EXPECT_EQ(shards_of_index(folder / "index.json"), (std::vector<std::string>{"s1.safetensors", "s2.safetensors"}));
}

TEST(SafetensorsShards, ProblemsOfAllShardsAreReportedTogether) {
  const TemporaryFolder folder;
  folder.write(
      "model.safetensors.index.json",
      R"({"weight_map":{"a":"s1.safetensors","b":"s2.safetensors","c":"s3.safetensors","d":"s4.safetensors"}})");
  folder.write("s1.safetensors", tensor_file("a"));
  folder.write("s2.safetensors", tensor_file("b").substr(0, 40));
  EXPECT_ERROR(ErrorCode::kNotFound, open_safetensors_shards(folder / "model.safetensors.index.json"),
               "2 of 4 shards are missing: s3.safetensors, s4.safetensors", "s2.safetensors: truncated");
  folder.write("s2.safetensors", tensor_file("x"));
  folder.write("s3.safetensors", tensor_file("c"));
  folder.write("s4.safetensors", tensor_file("y"));
  EXPECT_ERROR(ErrorCode::kBadFile, open_safetensors_shards(folder / "model.safetensors.index.json"),
               "2 tensors are not in their shards: b (s2.safetensors), d (s4.safetensors)");
}

TEST(SafetensorsShards, IndicesThatAreNot) {
  const TemporaryFolder folder;
  const std::string index = "model.safetensors.index.json";
  const auto open = [&](const std::string& text) {
    folder.write(index, text);
    open_safetensors_shards(folder / index);
  };
  EXPECT_ERROR(ErrorCode::kBadFile, open("{}"), index.c_str(), "expected a weight_map");
  EXPECT_ERROR(ErrorCode::kBadFile, open(R"({"weight_map":{"a":5}})"), "found something else at a");
  EXPECT_ERROR(ErrorCode::kBadFile, open(R"({"weight_map":{"a":"../../etc/passwd"}})"), "a file in the same folder");
  EXPECT_ERROR(ErrorCode::kBadFile, open("not json"), "not valid JSON");
  EXPECT_ERROR(ErrorCode::kBadFile, open("[]"), "weight_map");
}

// Contents or Error, nothing else; every tensor that is given lies inside the bytes.
void parse_anything(const std::string& bytes) {
  try {
    const SafetensorsContents contents = parse(bytes);
    for (const TensorInfo& tensor : contents.tensors) {
      const char* data = reinterpret_cast<const char*>(tensor.data);
      ASSERT_GE(data, bytes.data());
      ASSERT_LE(data + tensor.bytes, bytes.data() + bytes.size());
    }
  } catch (const Error& error) {
    ASSERT_FALSE(std::string(error.what()).empty());
  }
}

TEST(SafetensorsFuzz, CutAtEveryLength) {
  const std::string whole = safetensors(kTwo, 32);
  for (size_t length = 0; length < whole.size(); ++length) {
    SCOPED_TRACE(length);
    EXPECT_THROW(parse(whole.substr(0, length)), Error);
  }
}

TEST(SafetensorsFuzz, FlippedAndReplacedBytes) {
  const std::string whole = safetensors(kTwo, 32);
  std::mt19937 random(1);
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = whole;
    const int changes = 1 + static_cast<int>(random() % 3);
    for (int i = 0; i < changes; ++i) {
      const size_t at = random() % (8 + kTwo.size());
      if (random() % 2)
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << (random() % 8)));
      else
        bytes[at] = "{}[]\",:0123456789-e."[random() % 20];
    }
    parse_anything(bytes);
    if (HasFatalFailure()) FAIL() << "round " << round;
  }
}

}  // namespace
}  // namespace g3n::testing
