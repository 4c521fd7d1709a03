// What a model's name stands for: files, folders, files in folders, ids of the hub cache.
#include "checkpoint/find_model.h"

#include "support/errors.h"
#include "checkpoint/checkpoint.h"

namespace g3n::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

std::string find(const std::string& name, const std::vector<std::string>& caches = {}) {
  return find_model({.model = name, .hub_caches = caches}, Log()).model;
}

void write_checkpoint(const TemporaryFolder& folder, const std::string& name) {
  folder.write(name + "/config.json", R"({"model_type": "gemma3n"})");
  folder.write(name + "/model.safetensors", "weights");
}

TEST(FindModel, FilesAndCheckpointFoldersAreThemselves) {
  const TemporaryFolder folder;
  const std::string gguf = folder.write("a:b.gguf", "GGUF");
  EXPECT_EQ(find(gguf), gguf) << "the colon is the file's";
  write_checkpoint(folder, "E2B");
  folder.write("E2B/q4.g3n", "bundle");
  EXPECT_EQ(find(folder / "E2B"), folder / "E2B") << "the checkpoint it is, whatever lies beside";
  EXPECT_EQ(find(folder / "E2B:q4"), folder / "E2B/q4.g3n");
  folder.write("other/x.txt", "");
  EXPECT_EQ(find(folder / "other"), folder / "other") << "whoever opens it says what it is";
  EXPECT_ERROR(ErrorCode::kInvalidArgument, find(gguf + ":Q4_K_M"), "found the file " + gguf);
}

TEST(FindModel, AFileThatIsNotThereIsNoHubId) {
  for (const char* name : {"nope.gguf", "models/nope.gguf", "google/nope.g3n", "./nope.GGUF", "no/pe.gguf:Q4_K_M"}) {
    const std::string message = error_of(ErrorCode::kNotFound, [&] { find(name, {"/cache"}); });
    EXPECT_THAT(message, HasSubstr(": no such file"));
    EXPECT_THAT(message, Not(HasSubstr("hub"))) << name;
  }
}

TEST(FindModel, OneFileOfAFolderIsUsedSeveralAreListed) {
  const TemporaryFolder folder;
  folder.write("m/gemma-Q4_K_M.gguf", std::string(2'500'000, 'x'));
  folder.write("m/mmproj-gemma-F16.gguf", "GGUF");
  folder.write("m/gemma.imatrix.gguf", "GGUF");
  folder.write("m/README.md", "");
  EXPECT_EQ(find(folder / "m"), folder / "m/gemma-Q4_K_M.gguf");
  folder.write("m/gemma-UD-Q4_K_XL.gguf", "GGUF");
  folder.write("m/BF16/gemma-BF16-00001-of-00003.gguf", std::string(1000, 'x'));
  folder.write("m/BF16/gemma-BF16-00002-of-00003.gguf", std::string(1000, 'x'));
  folder.write("m/q8.g3n", "bundle");
  EXPECT_ERROR(ErrorCode::kInvalidArgument, find(folder / "m"), "expected one model", "gemma-Q4_K_M.gguf (2.5 MB)",
               "gemma-UD-Q4_K_XL.gguf (4 bytes)", "q8.g3n (6 bytes)",
               "BF16/gemma-BF16-00001-of-00003.gguf (2.0 KB, 1 of its shards missing)", "name one of them");
  EXPECT_THAT(error_of(ErrorCode::kInvalidArgument, [&] { find(folder / "m"); }),
              ::testing::AllOf(Not(HasSubstr("mmproj")), Not(HasSubstr("imatrix")), Not(HasSubstr("00002"))));
}

TEST(FindModel, AWordPicksOne) {
  const TemporaryFolder folder;
  for (const char* name : {"x-Q4_K_M.gguf", "x-UD-Q4_K_M.gguf", "x-Q4_K_S.gguf", "x-IQ4_NL.gguf", "x-Q8_0.gguf",
                           "q8.g3n", "x-BF16-00001-of-00002.gguf", "x-BF16-00002-of-00002.gguf", "mmproj-BF16.gguf"})
    folder.write(std::string("m/") + name, "GGUF");
  const std::string model = folder / "m";
  EXPECT_EQ(find(model + ":Q4_K_S"), model + "/x-Q4_K_S.gguf");
  EXPECT_EQ(find(model + ":q4_k_s"), model + "/x-Q4_K_S.gguf");
  EXPECT_EQ(find(model + ":Q8_0"), model + "/x-Q8_0.gguf");
  EXPECT_EQ(find(model + ":q8"), model + "/q8.g3n");
  EXPECT_EQ(find(model + ":BF16"), model + "/x-BF16-00001-of-00002.gguf");
  EXPECT_EQ(find(model + ":x-Q4_K_M.gguf"), model + "/x-Q4_K_M.gguf");
  EXPECT_EQ(find(model + ":UD-Q4_K_M"), model + "/x-UD-Q4_K_M.gguf");
  EXPECT_ERROR(ErrorCode::kInvalidArgument, find(model + ":Q4_K_M"), "x-Q4_K_M.gguf", "x-UD-Q4_K_M.gguf");
  for (const char* word : {"Q4_K", "4_NL", "Q5_K_M", "mmproj"})
    EXPECT_ERROR(ErrorCode::kNotFound, find(model + ":" + word), "named '" + std::string(word) + "'", "x-Q4_K_S.gguf");
}

class CachedGguf : public ::testing::Test {
 protected:
  void put(const std::string& snapshot, const std::string& name) {
    const std::string blob = cache_.write(std::string(kModel) + "/blobs/" + snapshot + name, "GGUF");
    const std::string link = cache_ / (std::string(kModel) + "/snapshots/" + snapshot + "/" + name);
    std::filesystem::create_directories(std::filesystem::path(link).parent_path());
    std::filesystem::create_symlink(blob, link);
  }
  std::string path(const std::string& name) const { return cache_ / (std::string(kModel) + "/snapshots/" + name); }
  std::string found(const std::string& id) const { return find(id, {cache_.path()}); }

  static constexpr const char* kModel = "models--someone--gemma-3n-GGUF";
  TemporaryFolder cache_;
};

TEST_F(CachedGguf, AnIdOfAGgufRepository) {
  put("new", "x-Q8_0.gguf");
  cache_.write(std::string(kModel) + "/refs/main", "new");
  EXPECT_EQ(found("someone/gemma-3n-GGUF"), path("new/x-Q8_0.gguf"));
  put("old", "x-Q4_K_M.gguf");
  put("old", "x-Q8_0.gguf");
  put("old", "mmproj-F16.gguf");
  EXPECT_EQ(found("someone/gemma-3n-GGUF"), path("new/x-Q8_0.gguf"));
  EXPECT_EQ(found("someone/gemma-3n-GGUF:q8_0"), path("new/x-Q8_0.gguf"));
  EXPECT_EQ(found("someone/gemma-3n-GGUF:Q4_K_M"), path("old/x-Q4_K_M.gguf")) << "main has none";
  put("new", "x-Q6_K.gguf");
  EXPECT_ERROR(ErrorCode::kInvalidArgument, found("someone/gemma-3n-GGUF"), "x-Q6_K.gguf (4 bytes)",
               "someone/gemma-3n-GGUF:x-Q6_K.gguf");
  EXPECT_ERROR(ErrorCode::kNotFound, found("someone/gemma-3n-GGUF:Q2_K"), "lacks a file named 'Q2_K'", "x-Q6_K.gguf",
               "hf download someone/gemma-3n-GGUF --include '*Q2_K*'");
}

// A repository may hold towers alone, or hold them in an older snapshot than its text models.
TEST_F(CachedGguf, AnIdOfTowers) {
  const std::string id = "someone/gemma-3n-GGUF", text = cache_.write("text.gguf", "GGUF");
  const auto towers = [&](const std::string& mmproj) {
    return find_model({.model = text, .mmproj = mmproj, .hub_caches = {cache_.path()}}, Log()).mmproj;
  };
  cache_.write(std::string(kModel) + "/snapshots/new/README.md", "");
  EXPECT_ERROR(ErrorCode::kNotFound, towers(id), "lacks an mmproj file", "hf download " + id + " --include '*mmproj*'");
  put("new", "mmproj-F16.gguf");
  EXPECT_EQ(towers(id), path("new/mmproj-F16.gguf"));
  EXPECT_EQ(towers(id + ":f16"), path("new/mmproj-F16.gguf"));
  EXPECT_ERROR(ErrorCode::kNotFound, found(id),
               "lacks a GGUF file of the text model, it has only vision and audio (for --mmproj): ",
               "mmproj-F16.gguf (4 bytes)");
  put("new", "mmproj-BF16.gguf");
  EXPECT_EQ(towers(id), path("new/mmproj-BF16.gguf"));
  EXPECT_EQ(towers(id + ":F16"), path("new/mmproj-F16.gguf"));
  EXPECT_ERROR(ErrorCode::kNotFound, towers(id + ":Q8_0"), "lacks a file named 'Q8_0'");
  put("text", "x-Q8_0.gguf");
  cache_.write(std::string(kModel) + "/refs/main", "text");
  EXPECT_EQ(towers(id), path("new/mmproj-BF16.gguf")) << "main has none";
  EXPECT_EQ(found(id), path("text/x-Q8_0.gguf"));
}

TEST_F(CachedGguf, TheAdviceOfAFolderOpenedAsACheckpoint) {
  const TemporaryFolder folder;
  folder.write("x-Q8_0.gguf", "GGUF");
  EXPECT_ERROR(ErrorCode::kUnsupported, open_checkpoint(folder.path()), "found x-Q8_0.gguf (4 bytes)",
               "give such a file, as " + (folder / "x-Q8_0.gguf"));
  folder.write("config.json", R"({"model_type": "gemma3n"})");
  EXPECT_ERROR(ErrorCode::kUnsupported, open_checkpoint(folder.path()), "give such a file");
  EXPECT_ERROR(ErrorCode::kNotFound, open_checkpoint(folder / "no"), "no such file or folder",
               "a GGUF file or a bundle");
}

TEST(ModelFiles, WhatMayNotBeOverwritten) {
  const TemporaryFolder folder;
  EXPECT_THAT(model_files({folder.path()}), UnorderedElementsAre(folder.path()));
  const std::string a = folder.write("a-00001-of-00002.gguf", ""), b = folder.write("a-00002-of-00002.gguf", "");
  folder.write("c.g3n", "");
  EXPECT_THAT(model_files({a}), UnorderedElementsAre(a, a, b));
  EXPECT_THAT(model_files({folder / "c.g3n"}), UnorderedElementsAre(folder / "c.g3n"));
}

}  // namespace
}  // namespace g3n::testing
