// What is not a checkpoint folder is named for what it is; models are found in the hub cache.
#include "checkpoint/checkpoint_folder.h"

#include "support/errors.h"
#include "checkpoint/hub_cache.h"
#include "core/file_set.h"

namespace g3n::testing {
namespace {

const std::string kConfig = R"({"model_type": "gemma3n"})";
const std::string kWeights = safetensors(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1);

TEST(CheckpointFolder, TakesConfigAndWeightsAlone) {
  const TemporaryFolder folder;
  folder.write("config.json", kConfig);
  folder.write("model.safetensors", kWeights);
  check_model_folder(folder.path());
  folder.write("adapter_config.json", "{}");
  check_model_folder(folder.path());
  folder.write("config.json", "{}");
  check_model_folder(folder.path());
}

TEST(CheckpointFolder, FilesAreNamedByContent) {
  const TemporaryFolder folder;
  EXPECT_ERROR(ErrorCode::kNotFound, check_model_folder(folder / "absent"), "absent: no such file or folder");
  EXPECT_ERROR(ErrorCode::kUnsupported, check_model_folder(folder.write("model.bin", "GGUF\x03")), "model.bin",
               "found a GGUF file where a folder is needed");
  EXPECT_ERROR(ErrorCode::kUnsupported, check_model_folder(folder.write("m.gguf", "PK\x03\x04 zip")), "PyTorch pickle");
  EXPECT_ERROR(ErrorCode::kUnsupported, check_model_folder(folder.write("m.pth", "\x80\x02]")), "PyTorch pickle");
  EXPECT_ERROR(ErrorCode::kUnsupported, check_model_folder(folder.write("w", kWeights)),
               "one .safetensors file: give its folder, " + folder.path());
  EXPECT_ERROR(ErrorCode::kUnsupported,
               check_model_folder(folder.write("l", "version https://git-lfs.github.com/spec/v1\n")), "git-lfs");
  EXPECT_ERROR(ErrorCode::kUnsupported, check_model_folder(folder.write("config.json", kConfig)),
               "a JSON file: give the model's folder");
  EXPECT_ERROR(ErrorCode::kUnsupported, check_model_folder(folder.write("e", "")), "an empty file");
}

TEST(CheckpointFolder, LinksToNothingAreNamed) {
  for (const std::string name : {"config.json", "model.safetensors", "model.safetensors.index.json"}) {
    const TemporaryFolder folder;
    folder.write("config.json", kConfig);
    folder.write("model.safetensors", kWeights);
    std::filesystem::remove(folder / name);
    std::filesystem::create_symlink("../blobs/gone", folder / name);
    EXPECT_ERROR(ErrorCode::kNotFound, check_model_folder(folder.path()),
                 name + ": a link to ../blobs/gone, which is not there");
  }
  const TemporaryFolder folder;  // optional files: not as if they had never been there
  std::filesystem::create_symlink("gone", folder / "generation_config.json");
  EXPECT_ERROR(ErrorCode::kNotFound, FileSet::folder(folder.path()).has("generation_config.json"), "a link to gone");
  EXPECT_FALSE(FileSet::folder(folder.path()).has("tokenizer.json"));
}

TEST(CheckpointFolder, FoldersOfOtherThings) {
  const TemporaryFolder folder;
  EXPECT_ERROR(ErrorCode::kNotFound, check_model_folder(folder.path()), "no config.json", "an empty folder");
  folder.write("deeper/config.json", kConfig);
  EXPECT_ERROR(ErrorCode::kNotFound, check_model_folder(folder.path()),
               "a folder of folders: give " + folder.path() + "/deeper");
  folder.write("x/q4.gguf", "GGUF");
  EXPECT_ERROR(ErrorCode::kUnsupported, check_model_folder(folder / "x"),
               "found q4.gguf (4 bytes): give such a file, as " + (folder / "x/q4.gguf"));
  folder.write("lora/adapter_config.json", R"({"base_model_name_or_path": "google/gemma-3n-E2B-it"})");
  folder.write("lora/adapter_model.safetensors", kWeights);
  EXPECT_ERROR(ErrorCode::kUnsupported, check_model_folder(folder / "lora"), "an adapter",
               "merge it into its base model google/gemma-3n-E2B-it");
}

TEST(CheckpointFolder, WeightsOfOtherKindsAndOtherModels) {
  const TemporaryFolder folder;
  folder.write("config.json", kConfig);
  EXPECT_ERROR(ErrorCode::kNotFound, check_model_folder(folder.path()), "found no weights");
  folder.write("model-00001-of-00002.safetensors", kWeights);
  EXPECT_ERROR(ErrorCode::kNotFound, check_model_folder(folder.path()),
               "model-00001-of-00002.safetensors without its index");
  folder.write("pytorch_model.bin", "PK\x03\x04");
  EXPECT_ERROR(ErrorCode::kUnsupported, check_model_folder(folder.path()), "pytorch_model.bin, a PyTorch pickle");
  folder.write("model.safetensors", kWeights);
  folder.write("config.json", R"({"model_type": "llama"})");
  EXPECT_ERROR(ErrorCode::kUnsupported, check_model_folder(folder.path()),
               "model_type: expected \"gemma3n\", found \"llama\"");
  folder.write("config.json", R"({"model_type": "gemma3n", "quantization_config": {"quant_method": "bitsandbytes"}})");
  EXPECT_ERROR(ErrorCode::kUnsupported, check_model_folder(folder.path()), "quantization_config");
  folder.write("config.json", "version https://git-lfs.github.com/spec/v1\n");
  EXPECT_ERROR(ErrorCode::kBadFile, check_model_folder(folder.path()), "git-lfs");
}

TEST(HubCache, WhatLooksLikeAnId) {
  EXPECT_TRUE(looks_like_hub_id("google/gemma-3n-E2B-it"));
  for (const char* text : {"google", "/google/x", "a/b/c", "./a", "../a", "~/a", "a/", "/a", "a b/c"})
    EXPECT_FALSE(looks_like_hub_id(text)) << text;
}

TEST(HubCache, FindsTheSnapshotOfMain) {
  const TemporaryFolder cache;
  const std::string model = "models--google--gemma-3n-E2B-it/";
  cache.write(model + "refs/main", "abc123\n");
  for (const char* hash : {"abc123", "def456"}) {
    cache.write(model + "snapshots/" + hash + "/config.json", kConfig);
    cache.write(model + "snapshots/" + hash + "/model.safetensors", kWeights);
  }
  std::vector<std::string> warnings;
  const Log log([&](const std::string& text) { warnings.push_back(text); });
  EXPECT_EQ(resolve_hub_model("google/gemma-3n-E2B-it", {cache / "absent", cache.path()}, log),
            cache / (model + "snapshots/abc123"));
  EXPECT_TRUE(warnings.empty());
  EXPECT_EQ(resolve_hub_model("google/gemma-3n-e2b-it", {cache.path()}, log), cache / (model + "snapshots/abc123"));
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_THAT(warnings[0], ::testing::HasSubstr("using google/gemma-3n-E2B-it"));
  // An incomplete main gives way to another complete snapshot.
  std::filesystem::remove(cache / (model + "snapshots/abc123/model.safetensors"));
  EXPECT_EQ(resolve_hub_model("google/gemma-3n-E2B-it", {cache.path()}, log), cache / (model + "snapshots/def456"));
}

TEST(HubCache, NotFoundSaysHowToFetch) {
  const TemporaryFolder cache;
  cache.write("models--google--gemma-3n-E4B-it/refs/main", "abc");
  const std::string snapshot = "models--google--gemma-3n-E4B-it/snapshots/abc/";
  cache.write(snapshot + "config.json", kConfig);
  EXPECT_ERROR(ErrorCode::kNotFound, resolve_hub_model("google/gemma-3n-E2B-it", {cache.path()}, Log()),
               "google/gemma-3n-E2B-it: no such folder", cache.path(), "in the cache: google/gemma-3n-E4B-it",
               "hf download google/gemma-3n-E2B-it", "accept the licence");
  EXPECT_ERROR(ErrorCode::kNotFound, resolve_hub_model("google/gemma-3n-E4B-it", {cache.path()}, Log()), "incomplete",
               "lacks model.safetensors");
  cache.write(snapshot + "model.safetensors.index.json",
              R"({"weight_map":{"a":"s1.safetensors","b":"s2.safetensors"}})");
  cache.write(snapshot + "s1.safetensors", kWeights);
  std::filesystem::create_symlink("../../blobs/gone", cache / (snapshot + "s2.safetensors"));
  EXPECT_ERROR(ErrorCode::kNotFound, resolve_hub_model("google/gemma-3n-E4B-it", {cache.path()}, Log()),
               "lacks s2.safetensors");
  const std::string message = error_of(ErrorCode::kNotFound, [] { resolve_hub_model("someone/model", {}, Log()); });
  EXPECT_THAT(message, ::testing::AllOf(::testing::HasSubstr("hf download someone/model"),
                                        ::testing::Not(::testing::HasSubstr("licence"))));
}

}  // namespace
}  // namespace g3n::testing
