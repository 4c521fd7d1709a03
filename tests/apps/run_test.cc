// g3n run and tokenize against what transformers feeds and answers (tests/golden/data/demo/conversations.json).
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "apps/conversations.h"
#include "apps/program.h"

namespace g3n::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;

std::string line_of(const std::vector<std::int64_t>& ids) {
  std::string line;
  for (const std::int64_t id : ids) (line.empty() ? line : line += ' ') += std::to_string(id);
  return line + "\n";
}

Arguments with_media(Arguments arguments, const Conversation& c) {
  for (const std::string& image : c.images) arguments.insert(arguments.end(), {"--image", image});
  for (const std::string& audio : c.audios) arguments.insert(arguments.end(), {"--audio", audio});
  return arguments;
}

Arguments flags_of(Arguments arguments, const Conversation& c) {
  arguments = with_media(std::move(arguments), c);
  if (!c.system.empty()) arguments.insert(arguments.end(), {"--system", c.system});
  arguments.push_back(c.prompt);
  return arguments;
}

void expect_answer(const Outcome& outcome, const std::string& text) {
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.out, text + "\n");
  EXPECT_EQ(outcome.err, "");
}

TEST(Golden, EveryConversationIsAnsweredAsByTransformers) {
  const TemporaryFolder folder;
  for (const Conversation& c : conversations()) {
    SCOPED_TRACE(c.name);
    write_text(folder.path("m.json"), c.messages);
    const Arguments arguments = with_media({"run", "-m", demo(), "--temperature", "0", "--max-tokens", "48", "--json",
                                            "--messages", folder.path("m.json")},
                                           c);
    const Outcome outcome = run_g3n(arguments);
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(json_integers(outcome.out, "ids"), c.greedy_ids);
    EXPECT_EQ(json_text(outcome.out, "text"), c.text);
    EXPECT_EQ(json_number(outcome.out, "prompt_tokens"), static_cast<double>(c.ids.size()));
  }
}

TEST(Golden, EveryConversationIsTokenizedAsByTransformers) {
  const TemporaryFolder folder;
  for (const Conversation& c : conversations()) {
    SCOPED_TRACE(c.name);
    write_text(folder.path("m.json"), c.messages);
    const Outcome outcome = run_g3n(with_media({"tokenize", "-m", demo(), "--messages", folder.path("m.json")}, c));
    EXPECT_EQ(outcome.out, line_of(c.ids)) << outcome.err;
    if (!c.fits_flags) continue;
    EXPECT_EQ(run_g3n(flags_of({"tokenize", "-m", demo(), "--chat"}, c)).out, line_of(c.ids));
  }
}

TEST(Run, FlagsSayWhatMessagesSay) {
  for (const char* name : {"sum", "sum_with_system", "caption", "transcribe", "spoken_question"}) {
    const Conversation& c = conversation(name);
    SCOPED_TRACE(name);
    ASSERT_TRUE(c.fits_flags);
    expect_answer(run_g3n(flags_of({"run", "-m", demo(), "--temperature", "0"}, c)), c.text);
  }
}

TEST(Run, TakesTheModelAsFirstArgument) {
  expect_answer(run_g3n({"run", demo(), conversation("sum").prompt, "--temperature", "0"}), conversation("sum").text);
}

TEST(Run, ThreadsAndChunksChangeNothing) {
  const Conversation& c = conversation("long_prompt");
  for (const char* chunk : {"7", "64"})
    expect_answer(run_g3n({"run", "-m", demo(), "--temperature", "0", "--chunk", chunk, "--threads", "2", c.prompt}),
                  c.text);
}

TEST(Run, ReadsThePromptFromStdinAndFiles) {
  const TemporaryFolder folder;
  const Conversation& c = conversation("sum");
  const Arguments base = {"run", "-m", demo(), "--temperature", "0"};
  const auto with = [&base](Arguments more) {
    more.insert(more.begin(), base.begin(), base.end());
    return more;
  };
  expect_answer(run_g3n(with({"-"}), c.prompt), c.text);
  expect_answer(run_g3n(base, c.prompt), c.text);
  write_text(folder.path("prompt.txt"), c.prompt);
  expect_answer(run_g3n(with({"-f", folder.path("prompt.txt")})), c.text);
  // A pipe and a file stand behind the prompt, each after a blank line.
  const Outcome whole = run_g3n(with({"--json", "one\n\ntwo\n\nthree"}));
  write_text(folder.path("two.txt"), "two");
  const Outcome parts = run_g3n(with({"--json", "one", "-f", folder.path("two.txt")}), "three");
  EXPECT_EQ(json_integers(parts.out, "ids"), json_integers(whole.out, "ids"));
  EXPECT_EQ(json_number(parts.out, "prompt_tokens"), json_number(whole.out, "prompt_tokens"));
}

TEST(Run, RawFeedsTextWithControlTokens) {
  const Conversation& c = conversation("sum");
  const std::string rendered = "<start_of_turn>user\n" + c.prompt + "<end_of_turn>\n<start_of_turn>model\n";
  for (const std::string& text : {rendered, "<bos>" + rendered}) {
    expect_answer(run_g3n({"run", "-m", demo(), "--temperature", "0", "--raw", text}), c.text);
    EXPECT_EQ(run_g3n({"tokenize", "-m", demo(), "--raw", text}).out, line_of(c.ids));
    EXPECT_EQ(run_g3n({"tokenize", "-m", demo(), "--raw", "-"}, text).out, line_of(c.ids));
  }
  const Conversation& media = conversation("caption");
  const std::string with_image =
      "<start_of_turn>user\n<image_soft_token>" + media.prompt + "<end_of_turn>\n<start_of_turn>model\n";
  expect_answer(run_g3n(with_media({"run", "-m", demo(), "--temperature", "0", "--raw", with_image}, media)),
                media.text);
}

TEST(Run, JsonIsOneObjectWithAllKeys) {
  const Conversation& c = conversation("sum");
  const Outcome outcome = run_g3n({"run", "-m", demo(), "--temperature", "0", "--json", c.prompt});
  EXPECT_THAT(outcome.out, MatchesRegex("\\{[^\n]*\\}\n"));
  EXPECT_THAT(json_keys(outcome.out),
              ElementsAre("text", "ids", "finish_reason", "prompt_tokens", "completion_tokens", "timings"));
  EXPECT_EQ(json_text(outcome.out, "finish_reason"), "stop");
  EXPECT_EQ(json_number(outcome.out, "completion_tokens"), static_cast<double>(c.greedy_ids.size()));
  EXPECT_GT(json_number(outcome.out, "timings/prefill_seconds"), 0);
}

TEST(Run, EndsAtLengthAndStopStrings) {
  const Conversation& c = conversation("sum");
  const Outcome length = run_g3n({"run", "-m", demo(), "--temperature", "0", "--json", "--max-tokens", "3", c.prompt});
  EXPECT_EQ(length.status, 0);
  EXPECT_EQ(json_text(length.out, "finish_reason"), "length");
  EXPECT_EQ(json_integers(length.out, "ids"),
            std::vector<std::int64_t>(c.greedy_ids.begin(), c.greedy_ids.begin() + 3));
  const size_t cut = c.text.find(" is");
  ASSERT_NE(cut, std::string::npos);
  expect_answer(run_g3n({"run", "-m", demo(), "--temperature", "0", "--stop", "[never]", "--stop", " is", c.prompt}),
                c.text.substr(0, cut));
}

TEST(Run, LogProbabilitiesAreThoseOfTheChosenTokens) {
  const Conversation& c = conversation("sum");
  const Outcome outcome = run_g3n({"run", "-m", demo(), "--temperature", "0", "--json", "--logprobs", "2", c.prompt});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const nlohmann::json answer = nlohmann::json::parse(outcome.out);
  ASSERT_EQ(answer["logprobs"].size(), c.greedy_ids.size());
  std::string text;
  for (size_t i = 0; i < c.greedy_ids.size(); ++i) {
    const nlohmann::json& token = answer["logprobs"][i];
    EXPECT_EQ(token["id"], c.greedy_ids[i]);
    ASSERT_EQ(token["top"].size(), 2u);
    EXPECT_EQ(token["top"][0]["id"], token["id"]) << "greedy: the likeliest";
    EXPECT_EQ(token["top"][0]["logprob"], token["logprob"]);
    EXPECT_LE(token["top"][1]["logprob"], token["top"][0]["logprob"]);
    EXPECT_LE(token["logprob"], 0);
    EXPECT_TRUE(token["piece"].is_string());
  }
}

TEST(Run, BansBiasesAndPenaltiesMoveTheChoice) {
  const Conversation& c = conversation("sum");
  const auto ids = [&c](Arguments flags) {
    flags.insert(flags.begin(), {"run", "-m", demo(), "--temperature", "0", "--json", "--max-tokens", "6"});
    flags.push_back(c.prompt);
    const Outcome outcome = run_g3n(flags);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return json_integers(outcome.out, "ids");
  };
  const std::string first = std::to_string(c.greedy_ids.at(0));
  EXPECT_NE(ids({"--ban-token", first}).at(0), c.greedy_ids[0]);
  EXPECT_NE(ids({"--logit-bias", first + "=-1000"}).at(0), c.greedy_ids[0]);
  EXPECT_EQ(ids({"--logit-bias", "300=1000"}), std::vector<std::int64_t>(6, 300));
  // Each time the forced token comes, it loses 600.
  EXPECT_NE(ids({"--logit-bias", "300=1000", "--frequency-penalty", "600"}).at(2), 300);
  EXPECT_EQ(ids({"--logit-bias", "300=1000", "--presence-penalty", "600"}), std::vector<std::int64_t>(6, 300));
  EXPECT_NE(ids({"--logit-bias", "300=1000", "--presence-penalty", "1100"}).at(1), 300);
  const std::string stop = std::to_string(c.greedy_ids.back());
  EXPECT_EQ(ids({"--logit-bias", stop + "=1000"}).size(), 1u);
  EXPECT_EQ(ids({"--logit-bias", stop + "=1000", "--min-tokens", "3"}).size(), 4u);
}

TEST(Run, MediaStandInTheOrderGiven) {
  const Conversation& c = conversation("spoken_question");
  const Arguments image = {"--image", c.images.at(0)}, audio = {"--audio", c.audios.at(0)};
  const auto ids = [](const Arguments& first, const Arguments& second) {
    Arguments arguments = {"tokenize", "-m", demo(), "--chat"};
    arguments.insert(arguments.end(), first.begin(), first.end());
    arguments.insert(arguments.end(), second.begin(), second.end());
    arguments.push_back("x");
    return run_g3n(arguments).out;
  };
  const TemporaryFolder folder;
  const auto by_messages = [&](const std::string& parts) {
    write_text(folder.path("m.json"),
               "[{\"role\": \"user\", \"content\": [" + parts + ", {\"type\": \"text\", \"text\": \"x\"}]}]");
    return run_g3n(
               {"tokenize", "-m", demo(), "--messages", folder.path("m.json"), image[0], image[1], audio[0], audio[1]})
        .out;
  };
  const std::string i = "{\"type\": \"image\"}", a = "{\"type\": \"audio\"}";
  EXPECT_EQ(ids(image, audio), by_messages(i + ", " + a));
  EXPECT_EQ(ids(audio, image), by_messages(a + ", " + i));
  EXPECT_NE(ids(image, audio), ids(audio, image));
}

TEST(Run, ContinueGoesOnInTheLastMessage) {
  const Conversation& c = conversation("sum");
  const size_t half = c.text.find(' ', c.text.size() / 2);
  const TemporaryFolder folder;
  write_text(folder.path("m.json"), "[{\"role\": \"user\", \"content\": \"" + c.prompt +
                                        "\"}, {\"role\": \"assistant\", \"content\": \"" + c.text.substr(0, half) +
                                        "\"}]");
  const Outcome tokens = run_g3n({"tokenize", "-m", demo(), "--continue", "--messages", folder.path("m.json")});
  ASSERT_EQ(tokens.status, 0) << tokens.err;
  EXPECT_EQ(tokens.out.substr(0, tokens.out.size() - 1).find(line_of(c.ids).substr(0, line_of(c.ids).size() - 1)), 0u)
      << "the prompt, then what is there of the answer";
  expect_answer(run_g3n({"run", "-m", demo(), "--temperature", "0", "--continue", "--messages", folder.path("m.json")}),
                c.text.substr(half));
}

TEST(Run, SamplingIsAFunctionOfTheSeed) {
  const auto ask = [](const char* seed) {
    return run_g3n({"run", "-m", demo(), "--temperature", "3", "--top-k", "0", "--top-p", "1", "--max-tokens", "24",
                    "--seed", seed, "Hello!"})
        .out;
  };
  const std::string one = ask("1");
  EXPECT_EQ(ask("1"), one);
  EXPECT_NE(ask("2"), one);
}

// Near-random tokens, so that some seed's answer is long enough to be interrupted.
Arguments babble(int seed) {
  return {"run",       "-m", demo(),   "--temperature",      "100",   "--top-k", "0", "--top-p", "1",
          "--threads", "1",  "--seed", std::to_string(seed), "Hello!"};
}

TEST(Run, CtrlCInTheMiddleOfAnAnswerIs130) {
  int seed = 0;
  for (std::string reason; reason != "length";) {
    ASSERT_LT(seed, 50);
    Arguments arguments = babble(++seed);
    arguments.insert(arguments.end(), {"--json", "--max-tokens", "1000"});
    reason = json_text(run_g3n(arguments).out, "finish_reason");
  }
  Running g3n(babble(seed));
  g3n.close_stdin();
  ASSERT_TRUE(g3n.read_until(" "));
  g3n.interrupt();
  const Outcome outcome = g3n.finish();
  EXPECT_EQ(outcome.status, 130);
  EXPECT_THAT(outcome.out, ::testing::EndsWith("\n"));
  EXPECT_EQ(outcome.err, "");
}

TEST(Run, StatsGoToStderr) {
  const Conversation& c = conversation("sum");
  const Outcome outcome = run_g3n({"run", "-m", demo(), "--temperature", "0", "--stats", c.prompt});
  EXPECT_EQ(outcome.out, c.text + "\n");
  for (const char* word : {"load", "encode", "prefill", "decode", "tok/s", "memory"})
    EXPECT_THAT(outcome.err, HasSubstr(word));
}

TEST(Run, AnswersInBf16) {
  const Outcome outcome =
      run_g3n({"run", "-m", demo(), "--temperature", "0", "--dtype", "bf16", conversation("hello").prompt});
  expect_answer(outcome, conversation("hello").text);
}

TEST(Messages, NameTheirMistakes) {
  struct Case {
    const char* json;
    const char* words;
  };
  const Case cases[] = {
      {"", "not JSON"},
      {"{\"role\": \"user\"}", "list of messages"},
      {"[]", "empty"},
      {"[1]", "message 1"},
      {"[{\"content\": \"x\"}]", "\"role\""},
      {"[{\"role\": \"user\"}]", "\"content\""},
      {"[{\"role\": \"user\", \"content\": 5}]", "message 1"},
      {"[{\"role\": \"user\", \"content\": [{\"type\": \"video\"}]}]", "\"video\""},
      {"[{\"role\": \"user\", \"content\": [{\"type\": \"text\"}]}]", "part 1"},
      {"[{\"role\": \"assistant\", \"content\": \"x\"}]", "alternate"},
      {"[{\"role\": \"user\", \"content\": \"x\"}, {\"role\": \"user\", \"content\": \"y\"}]", "alternate"},
      {"[{\"role\": \"user\", \"content\": [{\"type\": \"image\"}]}]", "1 image placeholders, found 0 --image"},
  };
  const TemporaryFolder folder;
  for (const Case& bad : cases) {
    SCOPED_TRACE(bad.json);
    write_text(folder.path("m.json"), bad.json);
    const Outcome outcome = run_g3n({"run", "-m", demo(), "--messages", folder.path("m.json")});
    EXPECT_EQ(outcome.status, 1);
    EXPECT_THAT(outcome.out, IsEmpty());
    EXPECT_THAT(outcome.err, MatchesRegex("g3n: [^\n]*\n"));
    EXPECT_THAT(outcome.err, HasSubstr(bad.words));
  }
  write_text(folder.path("m.json"), "[{\"role\": \"user\", \"content\": \"x\"}]");
  const Outcome surplus =
      run_g3n({"run", "-m", demo(), "--messages", folder.path("m.json"), "--image", demo_media("red-circle.png")});
  EXPECT_EQ(surplus.status, 1);
  EXPECT_THAT(surplus.err, HasSubstr("0 image placeholders, found 1 --image"));
}

TEST(Messages, MayNameTheirOwnFiles) {
  const TemporaryFolder folder;
  const Conversation& c = conversation("caption");
  std::filesystem::copy_file(c.images.at(0), folder.path(std::filesystem::path(c.images.at(0)).filename().string()));
  write_text(folder.path("m.json"), "\xEF\xBB\xBF" + c.messages);  // a BOM is skipped
  expect_answer(run_g3n({"run", "-m", demo(), "--temperature", "0", "--messages", folder.path("m.json")}), c.text);
}

TEST(Tokenize, ATextAloneIsPlain) {
  const Outcome plain = run_g3n({"tokenize", "-m", demo(), "--json", "a <end_of_turn> b"});
  const std::vector<std::string> pieces = json_texts(plain.out, "pieces");
  EXPECT_THAT(pieces, ::testing::Not(::testing::Contains("<end_of_turn>")));
  EXPECT_THAT(pieces, ::testing::Not(::testing::Contains("<bos>")));
  std::string joined;
  for (const std::string& piece : pieces) joined += piece;
  EXPECT_EQ(joined, "a\u2581<end_of_turn>\u2581b");
  EXPECT_EQ(json_integers(plain.out, "ids").size(), pieces.size());
  EXPECT_EQ(run_g3n({"tokenize", "-m", demo(), "--json", "-"}, "a <end_of_turn> b").out, plain.out);
  EXPECT_EQ(run_g3n({"tokenize", "-m", demo(), ""}).out, "\n");
}

TEST(Tokenize, StdinIsTakenByteForByte) {
  EXPECT_NE(run_g3n({"tokenize", "-m", demo(), "-"}, "seven\n").out,
            run_g3n({"tokenize", "-m", demo(), "-"}, "seven").out);
  EXPECT_EQ(run_g3n({"tokenize", "-m", demo(), "-"}, " seven \n\n").out,
            run_g3n({"tokenize", "-m", demo(), " seven \n\n"}).out);
  const Outcome invalid = run_g3n({"tokenize", "-m", demo(), "-"}, "\xff\xfe");
  EXPECT_EQ(invalid.status, 1);
  EXPECT_THAT(invalid.out, IsEmpty());
}

TEST(Prompt, BracketsAndBracesAreTextNotLists) {
  for (const char* text : {"[1,2]", "{}", "[]", "%%", "a,b"})
    EXPECT_EQ(run_g3n({"tokenize", "-m", demo(), text}).out, run_g3n({"tokenize", "-m", demo(), "-"}, text).out)
        << text;
  EXPECT_EQ(run_g3n({"tokenize", "-m", demo(), "--", "--raw"}).out,
            run_g3n({"tokenize", "-m", demo(), "-"}, "--raw").out);
}

}  // namespace
}  // namespace g3n::testing
