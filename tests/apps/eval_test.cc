// g3n eval: two sides over a text and over media.
#include <gmock/gmock.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "apps/conversations.h"
#include "apps/program.h"

namespace g3n::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Json = nlohmann::json;

constexpr const char* kSentences =
    "The ring is in the blue box. What is 2 plus 2? It is 4, and seven is more than two.";

Json kld(const std::string& text, Arguments more) {
  const TemporaryFolder folder;
  write_text(folder.path("text"), text);
  more.insert(more.begin(), {"eval", "kld", "--json", "-f", folder.path("text")});
  const Outcome outcome = run_g3n(more);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  return Json::parse(outcome.out);
}

TEST(Eval, AModelIsNoDistanceFromItself) {
  const Json report = kld(kSentences, {"-m", demo(), "--candidate", demo()});
  EXPECT_EQ(report["kl_mean"], 0);
  EXPECT_EQ(report["kl_max"], 0);
  EXPECT_EQ(report["top1_agreement"], 1);
  EXPECT_EQ(report["perplexity_reference"], report["perplexity_candidate"]);
  EXPECT_GT(report["perplexity_reference"], 1);
  EXPECT_EQ(report["reference"], "as it is");
}

TEST(Eval, ARecipeIsSome) {
  const Json report = kld(kSentences, {"-m", demo(), "--candidate", "q4"});
  EXPECT_GT(report["kl_mean"], 0);
  EXPECT_GE(report["kl_max"], report["kl_mean"]);
}

// Chunks and windows longer than what is kept at once change nothing but what stands before a token.
TEST(Eval, WindowsAndChunksCountEveryTokenOnce) {
  std::string text;
  for (int i = 0; i < 30; ++i) text += kSentences;
  const Json whole = kld(text, {"-m", demo(), "--candidate", "q8", "--window", "4096"}),
             chunked = kld(text, {"-m", demo(), "--candidate", "q8", "--window", "4096", "--chunk", "24"}),
             windows = kld(text, {"-m", demo(), "--candidate", "q8", "--window", "100"}),
             some = kld(text, {"-m", demo(), "--candidate", "q8", "--window", "100", "--tokens", "150"});
  EXPECT_EQ(whole, chunked);
  const int64_t tokens = whole["positions"].get<int64_t>() - 1;  // <bos> in front of the window
  ASSERT_GT(tokens, 300);
  EXPECT_EQ(windows["positions"], tokens + (tokens + 98) / 99);
  EXPECT_EQ(some["positions"], 150 + 2);
}

TEST(Eval, ATextForReaders) {
  const TemporaryFolder folder;
  write_text(folder.path("text"), kSentences);
  const Outcome outcome = run_g3n({"eval", "kld", "-m", demo(), "--candidate", "q4", "-f", folder.path("text")});
  for (const char* words : {" positions\n", "KL(as it is || q4)", " nats", "same likeliest token", "perplexity"})
    EXPECT_THAT(outcome.out, HasSubstr(words));
}

TEST(Eval, MediaByTheirSoftTokens) {
  const std::string picture = demo_media("red-circle.png");
  const Outcome same = run_g3n({"eval", "media", "-m", demo(), "--candidate", demo(), "--image", picture, "--json"});
  ASSERT_EQ(same.status, 0) << same.err;
  EXPECT_EQ(Json::parse(same.out)[picture], 0);
  const Outcome packed = run_g3n({"eval", "media", "-m", demo(), "--candidate", "q4", "--image", picture, "--json"});
  ASSERT_EQ(packed.status, 0) << packed.err;
  EXPECT_GT(Json::parse(packed.out)[picture], 0);
}

TEST(Eval, RefusesAnEmptyText) {
  const TemporaryFolder folder;
  write_text(folder.path("text"), "");
  const Outcome outcome = run_g3n({"eval", "kld", "-m", demo(), "--candidate", demo(), "-f", folder.path("text")});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.out, IsEmpty());
  EXPECT_THAT(outcome.err, HasSubstr("at least one token"));
}

}  // namespace
}  // namespace g3n::testing
