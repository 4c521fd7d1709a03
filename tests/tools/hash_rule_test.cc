// The hash rule and the deterministic inputs against what Python recorded.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "json/config.h"
#include "support/hash_weights.h"
#include "support/inputs.h"
#include "support/source_path.h"

namespace g3n::testing {
namespace {

const std::string kGolden = source_path("tests/golden/data");

TEST(HashRule, EveryTensorOfTheTinyCheckpointHasItsChecksum) {
  const std::vector<TensorRecord> records = read_tensor_records(kGolden + "/tiny/tensors.json");
  ASSERT_EQ(records.size(), 878u);
  const std::unique_ptr<TensorSource> source = tiny_checkpoint(kGolden + "/tiny");
  for (const TensorRecord& record : records) {
    const TensorInfo* tensor = source->find(record.tensor.name);
    ASSERT_TRUE(tensor) << record.tensor.name;
    EXPECT_EQ(tensor->shape, record.tensor.shape);
    EXPECT_EQ(crc32(tensor->data, static_cast<size_t>(tensor->bytes)), record.crc32) << record.tensor.name;
    EXPECT_EQ(HashTensor(record.tensor.name, record.tensor.shape, 32).seed(), record.seed) << record.tensor.name;
  }
}

TEST(HashRule, FullSizeCheckValuesAndPartsBeyond32Bits) {
  const HashTensor norm("model.language_model.norm.weight", {2048}, 256);
  std::vector<bf16_t> first(8);
  norm.fill(0, 8, first.data());
  EXPECT_THAT(first, ::testing::ElementsAre(0x3f73, 0x3f81, 0x3f89, 0x3f9f, 0x3f9a, 0x3f75, 0x3f4e, 0x3f9a));
  std::vector<bf16_t> whole(100), part(40);
  constexpr int64_t kHigh = (int64_t{1} << 31) + 12345;
  norm.fill(kHigh, 100, whole.data());
  norm.fill(kHigh + 30, 40, part.data());
  EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + 30));
}

std::string hex(uint32_t value) {
  char text[9];
  std::snprintf(text, sizeof text, "%08x", value);
  return text;
}

// Every picture and clip that the manifest's cases were recorded with.
TEST(Inputs, PicturesAndChirpsHaveTheManifestsChecksums) {
  const Config cases = Config::load(kGolden + "/manifest.json").object("cases");
  int pictures = 0, clips = 0;
  for (const std::string& name : cases.keys()) {
    for (const Config& image : cases.object(name).object("inputs").objects("images")) {
      const std::vector<uint8_t> pixels = golden_image(image.integer("size"), image.integer("seed"));
      EXPECT_EQ(hex(crc32(pixels.data(), pixels.size())), image.text("crc32")) << name;
      ++pictures;
    }
    for (const Config& clip : cases.object(name).object("inputs").objects("clips")) {
      const std::vector<int16_t> samples =
          golden_chirps(clip.integer("samples"), static_cast<uint32_t>(clip.integer("seed")));
      EXPECT_EQ(hex(crc32(samples.data(), samples.size() * 2)), clip.text("crc32")) << name;
      ++clips;
    }
  }
  EXPECT_GT(pictures, 3);
  EXPECT_GT(clips, 3);
}

TEST(Inputs, PromptsAreThoseOfTheManifest) {
  const Config cases = Config::load(kGolden + "/manifest.json").object("cases");
  const auto prompt = [](int64_t count, int64_t seed) {
    const std::vector<int32_t> ids = golden_prompt(count, seed);
    return std::vector<int64_t>(ids.begin(), ids.end());
  };
  EXPECT_EQ(cases.object("text_7").object("inputs").integers("ids"), prompt(7, 1));
  EXPECT_EQ(cases.object("text_40").object("inputs").integers("ids"), prompt(40, 2));
  EXPECT_EQ(cases.object("text_batch").object("inputs").integer_lists("sequences"),
            (std::vector<std::vector<int64_t>>{prompt(5, 4), prompt(33, 5), prompt(19, 6)}));
}

}  // namespace
}  // namespace g3n::testing
