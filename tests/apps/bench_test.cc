// g3n bench on the demo model: what is asked for is measured, in the promised shape.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "apps/program.h"
#include "support/source_path.h"

namespace g3n::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Json = nlohmann::json;

Json bench_json(Arguments arguments) {
  arguments.insert(arguments.begin(), {"bench", "-m", demo(), "--json"});
  const Outcome outcome = run_g3n(arguments);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(std::count(outcome.out.begin(), outcome.out.end(), '\n'), 1) << "one object alone";
  return Json::parse(outcome.out);
}

std::vector<std::string> works(const Json& report) {
  std::vector<std::string> names;
  for (const Json& result : report["results"]) names.push_back(result["work"]);
  return names;
}

void expect_positive(const Json& values, size_t count) {
  ASSERT_EQ(values.size(), count);
  for (const Json& value : values) EXPECT_GT(value.get<double>(), 0.0);
}

TEST(Bench, EveryWorkInTheShapeThatScriptsRead) {
  const Json report = bench_json({"--threads", "1", "--prefill", "16,70", "--decode-at", "0,8", "--decode-tokens", "2",
                                  "--image", "64", "--audio", "0.5", "--repeat", "2"});
  EXPECT_EQ(report["machine"]["threads"], 1);
  EXPECT_FALSE(report["machine"]["cpu"].get<std::string>().empty());
  EXPECT_FALSE(report["machine"]["isa"].get<std::string>().empty());
  EXPECT_EQ(report["model"]["path"], demo());
  EXPECT_EQ(report["model"]["format"], "folder");
  ASSERT_THAT(works(report), ElementsAre("load", "prefill", "prefill", "decode", "decode", "image", "audio"));
  const Json& results = report["results"];
  expect_positive(results[0]["seconds"], 2);
  EXPECT_EQ(results[1]["tokens"], 16);
  EXPECT_EQ(results[2]["tokens"], 70);
  expect_positive(results[2]["tok_per_s"], 2);
  EXPECT_EQ(results[3]["context"], 0);
  EXPECT_EQ(results[4]["context"], 8);
  expect_positive(results[4]["tok_per_s"], 2);
  EXPECT_EQ(results[5]["size"], 64);
  expect_positive(results[5]["seconds"], 2);
  EXPECT_EQ(results[6]["audio_s"], 0.5);
  expect_positive(results[6]["seconds"], 2);
  EXPECT_GT(report["peak_rss_bytes"].get<int64_t>(), report["peak_rss_anonymous_bytes"].get<int64_t>());
  EXPECT_GT(report["peak_rss_anonymous_bytes"].get<int64_t>(), 0);
}

TEST(Bench, OnlyWhatIsAskedForIsMeasured) {
  EXPECT_THAT(works(bench_json({"--decode-at", "4", "--decode-tokens", "1", "--repeat", "1"})),
              ElementsAre("load", "decode"));
}

TEST(Bench, SequencesDecodeTogether) {
  const Json report = bench_json({"--batch", "1,3", "--decode-tokens", "4", "--repeat", "2"});
  ASSERT_THAT(works(report), ElementsAre("load", "batch", "batch"));
  const Json& three = report["results"][2];
  EXPECT_EQ(three["sequences"], 3);
  expect_positive(three["tok_per_s"], 2);
  expect_positive(three["tok_per_s_each"], 2);
  EXPECT_NEAR(three["tok_per_s"][0].get<double>(), 3 * three["tok_per_s_each"][0].get<double>(), 1e-6);
}

TEST(Bench, EveryKindOfFile) {
  const TemporaryFolder folder;
  ASSERT_EQ(run_g3n({"convert", demo(), folder.path("demo.g3n"), "--recipe", "q8"}).status, 0);
  const std::pair<std::string, std::string> files[] = {{folder.path("demo.g3n"), "g3n"},
                                                       {source_path("tests/golden/data/gguf/text-mixed.gguf"), "gguf"}};
  for (const auto& [path, format] : files) {
    const Outcome outcome = run_g3n({"bench", path, "--json", "--prefill", "16", "--decode-at", "0", "--batch", "2",
                                     "--decode-tokens", "2", "--repeat", "1"});
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    const Json report = Json::parse(outcome.out);
    EXPECT_EQ(report["model"]["format"], format);
    EXPECT_THAT(works(report), ElementsAre("load", "prefill", "decode", "batch"));
  }
}

TEST(Bench, AReportForReaders) {
  const Outcome outcome = run_g3n({"bench", demo(), "--prefill", "16", "--repeat", "2"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.err, IsEmpty());
  for (const char* words : {"load ", "prefill 16 ", " tok/s", "peak memory "})
    EXPECT_THAT(outcome.out, HasSubstr(words));
}

TEST(Bench, AContextThatTheModelDoesNotHaveIsAnError) {
  const Outcome outcome = run_g3n({"bench", demo(), "--prefill", "10000000"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.out, IsEmpty());
  EXPECT_THAT(outcome.err, HasSubstr("positions"));
}

TEST(Bench, ListsOfNumbersAreCheckedOneByOne) {
  for (const char* given : {"", "16,", "16,x", ",16", "0", "1.5"}) {
    const Outcome outcome = run_g3n({"bench", demo(), "--prefill", given});
    EXPECT_EQ(outcome.status, 2) << given;
    EXPECT_THAT(outcome.err, HasSubstr("--prefill")) << given;
  }
}

}  // namespace
}  // namespace g3n::testing
