// Text and towers out of two files, and models by ollama's names, as a user meets them.
#include <gmock/gmock.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "apps/program.h"
#include "support/source_path.h"

namespace g3n::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Json = nlohmann::json;

const std::string kText = source_path("tests/golden/data/gguf/text-bf16.gguf");

std::string mmproj(const TemporaryFolder& folder, const std::string& name, const Arguments& more) {
  Arguments arguments = {demo(), folder.path(name)};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const Outcome made = run_program(G3N_MAKE_MMPROJ, arguments);
  EXPECT_EQ(made.status, 0) << made.err;
  return folder.path(name);
}

// The soft tokens that trace writes.
std::string soft_tokens(const Arguments& model) {
  const TemporaryFolder folder;
  Arguments arguments = {
      "trace",         "--image", demo_media("red-circle.png"), "--audio", demo_media("three-seven-one.wav"), "--taps",
      "*.soft_tokens", "--out",   folder.path("t.safetensors")};
  arguments.insert(arguments.end(), model.begin(), model.end());
  const Outcome outcome = run_g3n(arguments);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  return read_text(folder.path("t.safetensors"));
}

TEST(MmprojProgram, TowersOfAFileAreThoseOfTheFolder) {
  const TemporaryFolder folder;
  const std::string f32 = mmproj(folder, "mmproj.gguf", {"--type", "f32", "--dialect", "ollama"});
  EXPECT_EQ(soft_tokens({"-m", demo(), "--mmproj", f32}), soft_tokens({"-m", demo()}));
  const Outcome bundle = run_g3n({"convert", demo(), folder.path("demo.g3n"), "--mmproj", f32, "--recipe", "keep"});
  EXPECT_EQ(bundle.status, 0) << bundle.err;
  EXPECT_EQ(soft_tokens({folder.path("demo.g3n")}), soft_tokens({"-m", demo()}));
  const Outcome onto = run_g3n({"convert", demo(), f32, "--mmproj", f32, "--force"});
  EXPECT_EQ(onto.status, 1);
  EXPECT_THAT(onto.err, HasSubstr("mmproj.gguf"));
}

TEST(MmprojProgram, EvalComparesThemWithTheFolder) {
  const TemporaryFolder folder;
  const std::string q8 = mmproj(folder, "mmproj.gguf", {"--type", "q8_0"}), picture = demo_media("red-circle.png");
  const Outcome outcome = run_g3n({"eval", "media", "--json", "-m", demo(), "--candidate", q8, "--image", picture});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const double distance = Json::parse(outcome.out)[picture];
  EXPECT_GT(distance, 0);
  EXPECT_LT(distance, 0.02);
  EXPECT_EQ(run_g3n({"eval", "kld", "-m", demo(), "--mmproj", q8, "--candidate", "q8", "-f", q8}).status, 2);
  EXPECT_EQ(run_g3n({"eval", "media", "--mmproj", q8, "--reference", demo(), "--candidate", demo(), "--image", picture})
                .status,
            2);
}

TEST(MmprojProgram, InspectTellsWhatIsInIt) {
  const TemporaryFolder folder;
  const std::string path = mmproj(folder, "mmproj.gguf", {"--type", "q8_0", "--vision-only"});
  const Outcome text = run_g3n({"inspect", path});
  ASSERT_EQ(text.status, 0) << text.err;
  EXPECT_THAT(text.out, AllOf(HasSubstr("text      not in this file"), HasSubstr("256 soft tokens"),
                              HasSubstr("audio     not in this checkpoint"), HasSubstr("vision tower")));
  const Json alone = Json::parse(run_g3n({"inspect", "--json", path}).out);
  EXPECT_EQ(alone["has_text"], false);
  EXPECT_EQ(alone["missing"], Json::array());
  const Json both = Json::parse(run_g3n({"inspect", "--json", demo(), "--mmproj", path}).out);
  EXPECT_EQ(both["has_text"], true);
  EXPECT_EQ(both["mmproj"], path);
  EXPECT_EQ(both["has_audio"], true) << "the folder's";
}

TEST(MmprojProgram, InspectTellsOfTheFileBeside) {
  const TemporaryFolder folder;
  std::filesystem::copy_file(kText, folder.path("text.gguf"));
  const std::string words = folder.path("mmproj-F16.gguf") + " beside it may have them: --mmproj auto";
  EXPECT_THAT(run_g3n({"inspect", folder.path("text.gguf")}).out, ::testing::Not(HasSubstr("beside it")));
  write_text(folder.path("mmproj-F16.gguf"), "GGUF");
  EXPECT_THAT(run_g3n({"inspect", folder.path("text.gguf")}).out, HasSubstr(words));
  write_text(folder.path("mmproj-other.gguf"), "GGUF");
  EXPECT_THAT(run_g3n({"inspect", folder.path("text.gguf")}).out,
              HasSubstr("mmproj-F16.gguf and 1 more beside it may have them: --mmproj FILE"));
}

TEST(MmprojProgram, AModelOfOllama) {
  const TemporaryFolder folder;
  const std::string digest(64, 'a'), blob = folder.path("blobs/sha256-" + digest),
                                     tags = folder.path("manifests/registry.ollama.ai/library/gemma3n");
  std::filesystem::create_directories(folder.path("blobs"));
  std::filesystem::create_directories(tags);
  std::filesystem::copy_file(kText, blob);
  write_text(tags + "/tiny", R"({"layers": [{"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:)" +
                                 digest + "\"}]}");
  ::setenv("OLLAMA_MODELS", folder.path().c_str(), 1);
  const Outcome found = run_g3n({"inspect", "gemma3n:tiny"}), other = run_g3n({"gemma3n:e9b"});
  ::unsetenv("OLLAMA_MODELS");
  EXPECT_EQ(found.status, 0) << found.err;
  EXPECT_THAT(found.out, HasSubstr(blob));
  EXPECT_EQ(other.status, 1);
  EXPECT_THAT(other.err, AllOf(HasSubstr("which has gemma3n:tiny"), HasSubstr("ollama pull gemma3n:e9b")));
}

}  // namespace
}  // namespace g3n::testing
