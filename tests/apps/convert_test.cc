// g3n convert: bundles answer as the folder they were made from, bit for bit; nothing half-written, nothing
// overwritten.
#include <gmock/gmock.h>

#include <cmath>
#include <filesystem>

#include "apps/conversations.h"
#include "apps/program.h"
#include "support/source_path.h"

namespace g3n::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// The demo as a bundle of this recipe, made once.
const std::string& bundle(const std::string& recipe) {
  static const TemporaryFolder folder;
  static std::map<std::string, std::string> made;
  std::string& path = made[recipe];
  if (path.empty()) {
    path = folder.path(recipe + ".g3n");
    const Outcome outcome = run_g3n({"convert", demo(), path, "--recipe", recipe, "--threads", "2"});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(outcome.err, "") << "no terminal, no progress";
    EXPECT_THAT(outcome.out, HasSubstr(path + ": "));
    EXPECT_THAT(outcome.out, HasSubstr("recipe " + recipe + "\n"));
  }
  return path;
}

// What g3n trace writes for a prompt and its media.
std::string traced(const std::string& model, const Conversation& c, const Arguments& more = {}) {
  const TemporaryFolder folder;
  Arguments arguments = {
      "trace", "-m", model, "--prompt", c.prompt, "--steps", "2", "--out", folder.path("t.safetensors")};
  for (const std::string& image : c.images) arguments.insert(arguments.end(), {"--image", image});
  for (const std::string& audio : c.audios) arguments.insert(arguments.end(), {"--audio", audio});
  arguments.insert(arguments.end(), more.begin(), more.end());
  const Outcome outcome = run_g3n(arguments);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  return read_text(folder.path("t.safetensors"));
}

const Conversation& with_image() {
  for (const Conversation& c : conversations())
    if (!c.images.empty() && c.fits_flags) return c;
  throw std::runtime_error("no conversation with an image");
}
const Conversation& with_audio() {
  for (const Conversation& c : conversations())
    if (!c.audios.empty() && c.fits_flags) return c;
  throw std::runtime_error("no conversation with a sound");
}

TEST(Convert, ABundleGivesTheBitsOfItsFolder) {
  for (const Conversation& c : {conversation("sum"), with_image(), with_audio()}) {
    SCOPED_TRACE(c.name);
    const std::string want = traced(demo(), c);
    ASSERT_GT(want.size(), 100'000u);
    EXPECT_TRUE(traced(bundle("keep"), c) == want) << "keep";
    for (const char* recipe : {"q8", "q4"}) {
      const std::string quantized = traced(demo(), c, {"--quantize", recipe});
      EXPECT_FALSE(quantized == want) << "nothing was quantised";
      EXPECT_TRUE(traced(bundle(recipe), c) == quantized) << recipe;
    }
  }
}

TEST(Convert, BundlesAreSmallerAndSayWhatTheyAre) {
  const auto size = [](const std::string& recipe) { return std::filesystem::file_size(bundle(recipe)); };
  EXPECT_LT(size("q8"), size("keep"));
  EXPECT_LE(size("q4"), size("q8"));
  for (const char* recipe : {"keep", "q8", "q4"}) {
    const Outcome outcome = run_g3n({"inspect", "-m", bundle(recipe)});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_THAT(outcome.out, HasSubstr(recipe));
  }
}

// What is packed cannot be had in another form, be it that of the file it came from.
TEST(Convert, ABundleTakesNoRecipe) {
  const TemporaryFolder folder;
  write_text(folder.path("text"), "some words");
  for (const char* recipe : {"keep", "q8", "q4"}) {
    const Outcome outcome = run_g3n({"run", "-m", bundle("q4"), "--quantize", recipe, "hello"});
    EXPECT_EQ(outcome.status, 1);
    EXPECT_THAT(outcome.err, HasSubstr("this bundle was packed as q4: expected no recipe, got " + std::string(recipe)));
    EXPECT_EQ(run_g3n({"eval", "kld", "-m", bundle("q4"), "--candidate", recipe, "-f", folder.path("text")}).status, 1);
  }
  EXPECT_EQ(run_g3n({"eval", "kld", "-m", bundle("q4"), "--candidate", bundle("q8"), "-f", folder.path("text")}).status,
            0)
      << "the bundle as it is, and another";
}

TEST(Convert, ARecipeFromAFile) {
  const TemporaryFolder folder;
  write_text(folder.path("recipe"), "*self_attn* q4  # attention alone\n* keep\n");
  EXPECT_EQ(run_g3n({"convert", demo(), folder.path("a.g3n"), "--recipe", folder.path("recipe")}).status, 0);
  const Outcome tensors = run_g3n({"inspect", "-m", folder.path("a.g3n"), "--tensors"});
  EXPECT_EQ(tensors.status, 0) << tensors.err;
  const Conversation& c = conversation("sum");
  EXPECT_TRUE(traced(folder.path("a.g3n"), c) == traced(demo(), c, {"--quantize", folder.path("recipe")}));
  write_text(folder.path("recipe"), "*self_attn* q5\n");
  const Outcome wrong = run_g3n({"convert", demo(), folder.path("b.g3n"), "--recipe", folder.path("recipe")});
  EXPECT_EQ(wrong.status, 1);
  EXPECT_THAT(wrong.err, HasSubstr("recipe, line 1"));
  EXPECT_THAT(run_g3n({"convert", demo(), folder.path("b.g3n"), "--recipe", "q5"}).err,
              HasSubstr("q4, q8, keep or a file"));
  EXPECT_FALSE(std::filesystem::exists(folder.path("b.g3n")));
}

// A GGUF file's keys go along: configs as JSON, the tokenizer as they are.
TEST(Convert, AGgufFileBecomesABundleWithItsTokenizer) {
  const TemporaryFolder folder;
  const std::string out = folder.path("a.g3n");
  for (const std::string name : {"text-bf16.gguf", "text-mixed.gguf"}) {
    SCOPED_TRACE(name);
    const std::string gguf = source_path("tests/golden/data/gguf/") + name;
    const Outcome made = run_g3n({"convert", gguf, out, "--recipe", "keep", "--force"});
    ASSERT_EQ(made.status, 0) << made.err;
    const Conversation c{.prompt = "Where is the key?"};
    EXPECT_TRUE(traced(out, c) == traced(gguf, c));
    EXPECT_EQ(run_g3n({"tokenize", "-m", out, "--chat", c.prompt}).out,
              run_g3n({"tokenize", "-m", gguf, "--chat", c.prompt}).out);
    EXPECT_EQ(run_g3n({"run", "-m", out, "--seed", "7", "--max-tokens", "8", c.prompt}).out,
              run_g3n({"run", "-m", gguf, "--seed", "7", "--max-tokens", "8", c.prompt}).out)
        << "sampling";
  }
}

TEST(Convert, VerifyFindsADamagedByte) {
  const TemporaryFolder folder;
  std::string bytes = read_text(bundle("q8"));
  const Outcome whole = run_g3n({"inspect", "-m", bundle("q8"), "--verify"});
  EXPECT_EQ(whole.status, 0) << whole.err;
  EXPECT_THAT(whole.out, HasSubstr("(verified)"));
  bytes[bytes.size() * 2 / 3] ^= 1;
  write_text(folder.path("damaged.g3n"), bytes);
  EXPECT_EQ(run_g3n({"inspect", "-m", folder.path("damaged.g3n")}).status, 0) << "nothing is read";
  const Outcome damaged = run_g3n({"inspect", "-m", folder.path("damaged.g3n"), "--verify"});
  EXPECT_EQ(damaged.status, 1);
  EXPECT_THAT(damaged.err, HasSubstr("checksum"));
  EXPECT_THAT(run_g3n({"inspect", demo(), "--verify"}).err, HasSubstr("expected a bundle"));
}

TEST(Convert, NothingIsOverwrittenUnlessForced) {
  const TemporaryFolder folder;
  const std::string out = folder.path("out.g3n");
  write_text(out, "precious");
  const Outcome refused = run_g3n({"convert", demo(), out});
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("--force"));
  EXPECT_EQ(read_text(out), "precious");
  EXPECT_EQ(run_g3n({"convert", demo(), out, "--force", "--recipe", "q8"}).status, 0);
  EXPECT_TRUE(read_text(out) == read_text(bundle("q8"))) << "the same bytes every time";
  EXPECT_EQ(run_g3n({"convert", demo(), folder.path()}).status, 1) << "a folder";
  EXPECT_EQ(run_g3n({"convert", demo(), folder.path("none/out.g3n")}).status, 1);
  EXPECT_EQ(run_g3n({"convert", demo()}).status, 2);
  EXPECT_EQ(run_g3n({"convert", bundle("q8"), folder.path("again.g3n")}).status, 1) << "a bundle is packed already";
  EXPECT_THAT(folder.names(), ElementsAre("out.g3n"));
}

// A checkpoint that fails half way leaves nothing behind.
TEST(Convert, AFailureLeavesNoFile) {
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder.path("broken"));
  for (const auto& entry : std::filesystem::directory_iterator(demo()))
    if (entry.is_regular_file())
      std::filesystem::copy_file(entry.path(), folder.path("broken/" + entry.path().filename().string()));
  std::string weights = read_text(folder.path("broken/model.safetensors"));
  for (size_t i = weights.size() / 2; i < weights.size(); ++i) weights[i] = '\xff';  // not a number, whatever the type
  write_text(folder.path("broken/model.safetensors"), weights);
  const Outcome outcome = run_g3n({"convert", folder.path("broken"), folder.path("out.g3n"), "--recipe", "q8"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("expected finite values"));
  EXPECT_THAT(folder.names(), ElementsAre("broken"));
}

TEST(Convert, ABrokenBundleIsOneLine) {
  const TemporaryFolder folder;
  const std::string whole = read_text(bundle("q4"));
  for (const double part : {0.0001, 0.3, 0.9999}) {
    write_text(folder.path("cut.g3n"), whole.substr(0, static_cast<size_t>(static_cast<double>(whole.size()) * part)));
    const Outcome outcome = run_g3n({"run", "-m", folder.path("cut.g3n"), "hello"});
    EXPECT_EQ(outcome.status, 1);
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  }
}

}  // namespace
}  // namespace g3n::testing
