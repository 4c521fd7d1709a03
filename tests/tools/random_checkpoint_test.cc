// random_checkpoint: names and shapes from the config alone, values by the hash rule, in shards with an index.
#include "support/errors.h"
#include "checkpoint/safetensors_folder.h"
#include "support/hash_weights.h"
#include "support/source_path.h"
#include "tools/checkpoint_writer.h"

namespace g3n::testing {
namespace {

const std::string kTiny = source_path("tests/golden/data/tiny");

TEST(RandomCheckpoint, TheTinyConfigGivesExactlyTheRecordedNamesAndShapes) {
  const std::map<std::string, std::vector<int64_t>> tensors = checkpoint_tensors(Config::load(kTiny + "/config.json"));
  const std::vector<TensorRecord> records = read_tensor_records(kTiny + "/tensors.json");
  EXPECT_EQ(tensors.size(), records.size());
  for (const TensorRecord& record : records) {
    const auto found = tensors.find(record.tensor.name);
    ASSERT_NE(found, tensors.end()) << record.tensor.name;
    EXPECT_EQ(found->second, record.tensor.shape) << record.tensor.name;
  }
}

int64_t parameters(const std::map<std::string, std::vector<int64_t>>& tensors, const std::string& prefix) {
  int64_t sum = 0;
  for (const auto& [name, shape] : tensors) {
    int64_t count = name.starts_with(prefix) ? 1 : 0;
    for (const int64_t extent : shape) count *= extent;
    sum += count;
  }
  return sum;
}

// The published totals (spec: checkpoint.md 5 and 6).
TEST(RandomCheckpoint, FullSizeConfigsGiveThePublishedTotals) {
  const std::string full = source_path("tests/golden/data/full/");
  const auto e2b = checkpoint_tensors(Config::load(full + "e2b/config.json"));
  EXPECT_EQ(e2b.size(), 1556u);
  EXPECT_EQ(parameters(e2b, ""), 5439438272);
  EXPECT_EQ(parameters(e2b, "model.vision_tower."), 294126912);
  EXPECT_EQ(parameters(e2b, "model.audio_tower."), 681348640);
  const auto e4b = checkpoint_tensors(Config::load(full + "e4b/config.json"));
  EXPECT_EQ(e4b.size(), 1676u);
  EXPECT_EQ(parameters(e4b, ""), 7849978192);
  EXPECT_EQ(parameters(e4b, "model.language_model."), 6866696688);
}

TEST(RandomCheckpoint, WritesShardsWhoseEveryTensorHasItsChecksum) {
  const TemporaryFolder folder;
  ThreadPool pool(2);
  for (const int64_t shards : {0, 3, 878}) {
    const std::string out = folder / ("out" + std::to_string(shards));
    int64_t last = 0, total = 0;
    write_random_checkpoint(pool, kTiny + "/config.json", out,
                            {.shards = shards, .progress = [&](int64_t d, int64_t t) { last = d, total = t; }});
    EXPECT_EQ(last, total);
    EXPECT_EQ(std::filesystem::exists(out + "/model.safetensors"), shards == 0);
    EXPECT_EQ(std::filesystem::exists(out + "/model-00003-of-00003.safetensors"), shards == 3);
    EXPECT_EQ(std::filesystem::exists(out + "/model-00878-of-00878.safetensors"), shards == 878);
    EXPECT_EQ(slurp(out + "/config.json"), slurp(kTiny + "/config.json"));
    const auto source = open_safetensors_folder(out);
    const std::vector<TensorRecord> records = read_tensor_records(kTiny + "/tensors.json");
    ASSERT_EQ(source->tensors().size(), records.size());
    for (const TensorRecord& record : records) {
      const TensorInfo* tensor = source->find(record.tensor.name);
      ASSERT_TRUE(tensor) << record.tensor.name;
      EXPECT_EQ(crc32(tensor->data, static_cast<size_t>(tensor->bytes)), record.crc32) << record.tensor.name;
    }
  }
}

TEST(RandomCheckpoint, BadRequests) {
  const TemporaryFolder folder;
  ThreadPool pool(1);
  folder.write("full/file", "x");
  EXPECT_ERROR(ErrorCode::kInvalidArgument, write_random_checkpoint(pool, kTiny + "/config.json", folder / "full", {}),
               "full: expected a new or empty folder");
  EXPECT_ERROR(ErrorCode::kInvalidArgument, write_random_checkpoint(pool, kTiny + "/config.json", folder / "a/b", {}),
               "a/b: cannot make the folder");
  EXPECT_ERROR(ErrorCode::kInvalidArgument,
               write_random_checkpoint(pool, kTiny + "/config.json", folder / "many", {.shards = 879}), "at most 878");
  EXPECT_ERROR(ErrorCode::kNotFound, write_random_checkpoint(pool, folder / "none.json", folder / "x", {}),
               "none.json");
}

}  // namespace
}  // namespace g3n::testing
