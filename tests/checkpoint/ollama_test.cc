// Names of ollama's models: manifests and blobs as ollama keeps them.
#include "checkpoint/ollama.h"

#include <filesystem>

#include "checkpoint/find_model.h"
#include "support/errors.h"

namespace g3n::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::string digest(char digit) { return std::string(64, digit); }

// A folder of ollama, to be filled.
class Ollama {
 public:
  std::string path() const { return folder_ / "models"; }
  std::string blob(char digit, const std::string& content = "GGUF") const {
    return folder_.write("models/blobs/sha256-" + digest(digit), content);
  }
  // name: "registry.ollama.ai/library/gemma3n/e4b".
  void manifest(const std::string& name, const std::string& layers) const {
    folder_.write("models/manifests/" + name, R"({"schemaVersion": 2, "layers": [)" + layers + "]}");
  }
  static std::string layer(const std::string& kind, char digit, int size = 4) {
    return R"({"mediaType": "application/vnd.ollama.image.)" + kind + R"(", "digest": "sha256:)" + digest(digit) +
           R"(", "size": )" + std::to_string(size) + "}";
  }
  // The usual layers: template and parameters beside the file.
  void model(const std::string& name, char digit) const {
    blob(digit);
    manifest(name, layer("model", digit) + ", " + layer("template", 'f') + ", " + layer("params", 'f'));
  }
  ModelPaths find(const std::string& name, const std::string& mmproj = "") const {
    return find_model({.model = name, .mmproj = mmproj, .hub_caches = {}, .ollama_folders = {path()}},
                      Log([this](const std::string& text) { warnings.push_back(text); }));
  }
  mutable std::vector<std::string> warnings;

 private:
  TemporaryFolder folder_;
};

const std::string kLibrary = "registry.ollama.ai/library/";

TEST(Ollama, ANameAndATagGiveTheBlob) {
  const Ollama ollama;
  ollama.model(kLibrary + "gemma3n/e4b", 'a');
  ollama.model(kLibrary + "gemma3n/latest", 'b');
  ollama.model("registry.ollama.ai/someone/gemma/q4", 'c');
  ollama.model("hf.co/unsloth/gemma-3n-E4B-it-GGUF/Q4_K_M", 'd');
  const auto blob = [&](char digit) { return ollama.path() + "/blobs/sha256-" + digest(digit); };
  EXPECT_EQ(ollama.find("gemma3n:e4b").model, blob('a'));
  EXPECT_EQ(ollama.find("gemma3n:e4b").mmproj, "");
  EXPECT_EQ(ollama.find("Gemma3N:E4B").model, blob('a')) << "in any case";
  EXPECT_EQ(ollama.find("gemma3n").model, blob('b')) << "latest";
  EXPECT_EQ(ollama.find("library/gemma3n:e4b").model, blob('a'));
  EXPECT_EQ(ollama.find("someone/gemma:q4").model, blob('c')) << "looks like a hub id";
  EXPECT_EQ(ollama.find("hf.co/unsloth/gemma-3n-E4B-it-GGUF:Q4_K_M").model, blob('d'));
  EXPECT_EQ(ollama.find("someone/gemma").model, blob('c')) << "the only tag";
  EXPECT_THAT(ollama.warnings, ::testing::ElementsAre("someone/gemma: using someone/gemma:q4 of ollama"));
}

TEST(Ollama, TheProjectorComesWithTheModel) {
  const Ollama ollama;
  ollama.blob('a'), ollama.blob('b');
  ollama.manifest(kLibrary + "gemma3n/e2b", Ollama::layer("model", 'a') + "," + Ollama::layer("projector", 'b'));
  const std::string projector = ollama.path() + "/blobs/sha256-" + digest('b');
  EXPECT_EQ(ollama.find("gemma3n:e2b").mmproj, projector);
  EXPECT_EQ(ollama.find("gemma3n:e2b", "auto").mmproj, projector);
  const TemporaryFolder folder;
  const std::string other = folder.write("mmproj.gguf", "GGUF");
  EXPECT_EQ(ollama.find("gemma3n:e2b", other).mmproj, other);
  EXPECT_EQ(ollama.find(other, "gemma3n:e2b").mmproj, projector);
}

TEST(Ollama, WhatIsNotThereIsToldWithWhatIs) {
  const Ollama ollama;
  ollama.model(kLibrary + "gemma3n/e4b", 'a');
  ollama.model(kLibrary + "gemma3n/e2b", 'b');
  EXPECT_ERROR(ErrorCode::kNotFound, ollama.find("gemma3n:e8b"), "gemma3n:e8b: no such file or folder",
               "ollama (" + ollama.path() + "), which has gemma3n:e2b, gemma3n:e4b", "ollama pull gemma3n:e8b");
  EXPECT_ERROR(ErrorCode::kInvalidArgument, ollama.find("gemma3n"), "found gemma3n:e2b, gemma3n:e4b: name one of them");
  EXPECT_ERROR(ErrorCode::kNotFound, ollama.find("gemma"), "gemma: no such file or folder", "which has gemma3n:e2b");
  EXPECT_EQ(ollama.find("./gemma").model, "./gemma") << "who opens it says that nothing is there";
  const TemporaryFolder none;
  EXPECT_EQ(find_model({.model = "gemma", .hub_caches = {}, .ollama_folders = {none / "no"}}, Log()).model, "gemma");
  EXPECT_ERROR(ErrorCode::kNotFound,
               find_model({.model = "gemma3n:e4b", .hub_caches = {}, .ollama_folders = {none / "no"}}, Log()),
               "ollama (" + none / "no" + "), which has no models");
  std::filesystem::remove(ollama.path() + "/blobs/sha256-" + digest('a'));
  EXPECT_ERROR(ErrorCode::kNotFound, ollama.find("gemma3n:e4b"), "sha256-" + digest('a') + " is not there",
               "ollama pull gemma3n:e4b");
}

TEST(Ollama, ManifestsThatCannotBeUsed) {
  const Ollama ollama;
  ollama.blob('a'), ollama.blob('b');
  const auto refused = [&](ErrorCode code, const std::string& layers, const std::string& said) {
    ollama.manifest(kLibrary + "m/x", layers);
    EXPECT_ERROR(code, ollama.find("m:x"), said, "library/m/x");
  };
  refused(ErrorCode::kUnsupported, Ollama::layer("tensor", 'a'),
          "found none among: application/vnd.ollama.image.tensor");
  refused(ErrorCode::kUnsupported, Ollama::layer("model", 'a') + "," + Ollama::layer("model", 'b'), "found 2");
  refused(ErrorCode::kUnsupported, Ollama::layer("model", 'a') + "," + Ollama::layer("adapter", 'b'), "adapter");
  refused(ErrorCode::kBadFile, Ollama::layer("model", 'a', 400), "expected 400 bytes");
  refused(ErrorCode::kBadFile, R"({"mediaType": "image.model", "digest": "sha256:../../etc/passwd"})", "64 hex digits");
  refused(ErrorCode::kBadFile, R"({"mediaType": "image.model"})", "digest");
  refused(ErrorCode::kBadFile, "{", "");
}

TEST(FindModel, MmprojFiles) {
  const TemporaryFolder folder;
  const std::string text = folder.write("m/gemma-Q4_K_M.gguf", "GGUF");
  const auto find = [](const std::string& model, const std::string& mmproj) {
    return find_model({.model = model, .mmproj = mmproj, .hub_caches = {}, .ollama_folders = {}}, Log());
  };
  EXPECT_EQ(find(text, "").mmproj, "");
  EXPECT_ERROR(ErrorCode::kNotFound, find(text, "auto"), "mmproj auto", folder / "m", "found none");
  EXPECT_ERROR(ErrorCode::kNotFound, find(text, folder / "no.gguf"), "mmproj: " + folder / "no.gguf", "no such file");
  const std::string f16 = folder.write("m/mmproj-F16.gguf", "GGUF");
  EXPECT_EQ(find(text, "auto").mmproj, f16);
  EXPECT_EQ(find(folder / "m", "auto").model, text);
  EXPECT_EQ(find(folder / "m", "auto").mmproj, f16);
  EXPECT_EQ(find(text, folder / "m").mmproj, f16) << "the one in a folder";
  EXPECT_EQ(find(text, "").mmproj, "") << "not without being asked";
  EXPECT_EQ(find(text, f16).mmproj, f16);
  EXPECT_THAT(mmproj_beside(text), ::testing::ElementsAre(f16));
  const std::string bf16 = folder.write("m/mmproj-BF16.gguf", "GGUF");
  std::string said;
  const Log log([&said](const std::string& message) { said += message; });
  EXPECT_EQ(find_model({.model = text, .mmproj = "auto"}, log).mmproj, bf16) << "the same towers, of which it is best";
  EXPECT_EQ(said, "mmproj auto: using mmproj-BF16.gguf of mmproj-BF16.gguf (4 bytes), mmproj-F16.gguf (4 bytes)");
  EXPECT_EQ(find(text, folder / "m:f16").mmproj, f16);
  folder.write("split/mmproj-F16.gguf", "GGUF");
  const std::string shard = folder.write("split/BF16/x-00001-of-00001.gguf", "GGUF");
  EXPECT_EQ(find(folder / "split:BF16", "auto").mmproj, folder / "split/mmproj-F16.gguf") << "of the folder asked for";
  EXPECT_EQ(find(folder / "split", "auto").model, shard);
  EXPECT_ERROR(ErrorCode::kNotFound, find(shard, "auto"), "mmproj auto: expected an mmproj file",
               folder / "split/BF16, where");
  std::filesystem::create_symlink("gone", folder / "dead.gguf");
  EXPECT_ERROR(ErrorCode::kNotFound, find(folder / "dead.gguf", ""), "dead.gguf: a link to gone, which is not there");
  EXPECT_ERROR(ErrorCode::kNotFound, find(text, folder / "dead.gguf"), "dead.gguf: a link to gone, which is not there");
  std::filesystem::create_symlink("loop.gguf", folder / "loop.gguf");
  EXPECT_ERROR(ErrorCode::kInvalidArgument, find(folder / "loop.gguf", ""), "loop.gguf: cannot open: Too many levels");
  EXPECT_ERROR(ErrorCode::kInvalidArgument, find(text, folder / "loop.gguf"),
               "loop.gguf: cannot open: Too many levels");
  folder.write("m/mmproj-E4B-F16.gguf", "GGUF");
  EXPECT_ERROR(ErrorCode::kInvalidArgument, find(text, "auto"), "expected one mmproj file",
               "mmproj-BF16.gguf (4 bytes)", "mmproj-E4B-F16.gguf (4 bytes)", "name one of them");
  folder.write("n/mmproj-q8_0.gguf", "GGUF"), folder.write("n/mmproj-F32.gguf", "GGUF");
  EXPECT_EQ(find(text, folder / "n").mmproj, folder / "n/mmproj-F32.gguf");
  folder.write("n/mmproj-Q4_K.gguf", "GGUF");
  EXPECT_ERROR(ErrorCode::kInvalidArgument, find(text, folder / "n"), "expected one mmproj file", "mmproj-Q4_K.gguf");
  folder.write("hf/config.json", "{}"), folder.write("hf/model.safetensors", "weights");
  EXPECT_EQ(find(text, folder / "hf").mmproj, folder / "hf");
  EXPECT_THAT(model_files({text, folder / "hf"}), AllOf(::testing::Contains(folder / "hf"), ::testing::Contains(f16)));
}

}  // namespace
}  // namespace g3n::testing
