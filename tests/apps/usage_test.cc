// Flags, exit statuses, and who may write what where: stdout holds answers only, an error is one line on stderr.
#include <gmock/gmock.h>
#include <unistd.h>

#include <sstream>

#include "apps/conversations.h"
#include "apps/program.h"
#include "support/source_path.h"

namespace g3n::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;

void expect_failure(const Outcome& outcome, int status, const std::string& words) {
  EXPECT_EQ(outcome.status, status) << outcome.err;
  EXPECT_THAT(outcome.out, IsEmpty());
  EXPECT_THAT(outcome.err, MatchesRegex("g3n: [^\n]*\n"));
  EXPECT_THAT(outcome.err, HasSubstr(words));
}

TEST(Help, AloneAndByFlagShowsThreeExamples) {
  for (const Arguments& arguments : {Arguments{}, Arguments{"--help"}}) {
    const Outcome outcome = run_g3n(arguments);
    EXPECT_EQ(outcome.status, 0);
    EXPECT_THAT(outcome.err, IsEmpty());
    const size_t begin = outcome.out.find("Examples:\n");
    ASSERT_NE(begin, std::string::npos);
    const std::string examples = outcome.out.substr(begin, outcome.out.find("\n\n", begin) - begin);
    EXPECT_EQ(std::count(examples.begin(), examples.end(), '\n'), 3) << examples;
  }
}

TEST(Help, EveryCommandHasItsOwn) {
  for (const char* command : {"run", "chat", "inspect", "tokenize", "trace", "bench", "convert", "eval"}) {
    const Outcome outcome = run_g3n({command, "--help"});
    EXPECT_EQ(outcome.status, 0) << command;
    EXPECT_THAT(outcome.out, HasSubstr("--model")) << command;
    EXPECT_THAT(outcome.err, IsEmpty()) << command;
  }
}

TEST(Help, EveryFlagIsInTheManual) {
  const std::string manual = read_text(source_path("docs/cli.md"));
  for (const char* command : {"run", "chat", "serve", "inspect", "tokenize", "trace", "bench", "convert", "eval"}) {
    std::istringstream help(run_g3n({command, "--help"}).out);
    for (std::string line; std::getline(help, line);) {
      const size_t begin = line.find("--"), end = line.find_first_of(" ,", std::min(begin, line.size()));
      if (!line.starts_with("  -") || line.starts_with("  -h")) continue;
      const std::string flag = line.substr(begin, end - begin);
      EXPECT_THAT(manual, ::testing::ContainsRegex(flag + "[^-a-z]")) << command;
    }
  }
}

TEST(Help, VersionIsOneLine) {
  const Outcome outcome = run_g3n({"--version"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(outcome.out, MatchesRegex("g3n [0-9]+\\.[0-9]+\\.[0-9]+\n"));
}

struct BadUsage {
  Arguments arguments;
  std::string words;
};

TEST(Usage, EveryMistakeIsOneLineAndStatusTwo) {
  const std::string dir = demo();
  const BadUsage cases[] = {
      {{"--nonsense"}, "--nonsense"},
      {{"rum"}, "'rum'"},
      {{"What is 3 plus 4?"}, "run -m MODEL"},
      {{"run", "--modle", dir, "x"}, "run has no flag --modle: --model?"},
      {{"run", "-m", dir, "--temprature=1", "x"}, "run has no flag --temprature: --temperature?"},
      {{"convert", dir, "/tmp/x.g3n", "--quantize", "q8"}, "convert has no flag --quantize: g3n convert --help"},
      {{"run", "-m", dir, "x", "--image"}, "--image needs a value: FILE"},
      {{"run", "-m", dir, "--seed", "1", "--seed", "2", "x"}, "--seed is given more than once"},
      {{"run", "-m", "", "x"}, "--model: expected a path, found an empty text"},
      {{"run", "-m", dir, "--image", "", "x"}, "--image: expected a path"},
      {{"run", "-m", dir, "--messages", ""}, "--messages: expected a path"},
      {{"convert", dir, ""}, "expected a file to write"},
      {{"serve", "-m", dir, "--port", "99999"}, "--port: expected a whole number from 0 to 65535, found '99999'"},
      {{"serve", "-m", dir, "--port", "99999999999999"}, "from 0 to 65535, found '99999999999999'"},
      {{"serve", "-m", dir, "--port", "-1"}, "--port: expected a whole number from 0 to 65535, found '-1'"},
      {{"serve", "-m", dir, "--port", "abc"}, "--port: expected a whole number from 0 to 65535, found 'abc'"},
      {{"serve", "-m", dir, "--port", ""}, "from 0 to 65535, found ''"},
      {{"run", "-m", dir, "--top-p", "1.5", "x"}, "--top-p: expected a number from 0 to 1, found '1.5'"},
      {{"run", "-m", dir, "--threads", "none", "x"}, "a whole number from 1 to 1024, found 'none'"},
      {{"run", "-m", dir, "--max-tokens", "none", "x"}, "a whole number of at least 1, found 'none'"},
      {{"run", "-m", dir, "--max-tokens", "99999999999999999999", "x"}, "at most 2147483647"},
      {{"run", "hello"}, "'hello' was taken for the model, since -m MODEL is absent"},
      {{"run", "What", "is", "3", "plus", "4?"},
       "'3' (a prompt of several words is put in quotes); 'What' was taken for"},
      {{"tokenize", "two words"}, "'two words' was taken for the model"},
      {{"run", "-m", "What is 3 plus 4?"}, "the prompt is empty"},
      {{"run", "-m", dir, "--nonsense", "x"}, "--nonsense"},
      {{"run"}, "needs a model"},
      {{"chat"}, "needs a model"},
      {{"run", "-m"}, "-m"},
      {{"run", "-m", dir, "two", "words"}, "'words'"},
      {{"run", "-m", dir, "-m", dir, "x"}, "-m"},
      {{"run", "-m", dir, "--max-tokens", "0", "x"}, "--max-tokens"},
      {{"run", "-m", dir, "--max-tokens", "many", "x"}, "'many'"},
      {{"run", "-m", dir, "--max-tokens", "1.5", "x"}, "'1.5'"},
      {{"run", "-m", dir, "--temperature", "-1", "x"}, "--temperature"},
      {{"run", "-m", dir, "--temperature", "nan", "x"}, "--temperature"},
      {{"run", "-m", dir, "--top-p", "2", "x"}, "--top-p"},
      {{"run", "-m", dir, "--top-p", "0", "x"}, "top-p"},
      {{"run", "-m", dir, "--seed", "-1", "x"}, "--seed"},
      {{"run", "-m", dir, "--repetition-penalty", "0", "x"}, "repetition"},
      {{"run", "-m", dir, "--stop", "", "--json", "x"}, "--stop"},
      {{"run", "-m", dir, "--dtype", "f16", "x"}, "f32 or bf16"},
      {{"run", "-m", dir, "--threads", "0", "x"}, "--threads"},
      {{"run", "-m", dir, "--image-size", "7", "x"}, "or 32 to 4096 pixels a side, best a multiple of 256, got 7"},
      {{"run", "-m", dir, "--image-size", "big", "x"}, "--image-size: expected a whole number"},
      {{"bench", "-m", dir, "--image", "7"}, "--image: expected a whole number from 32 to 4096, found '7'"},
      {{"run", "-m", dir, "--chunk", "0", "x"}, "--chunk"},
      {{"run", "-m", dir, "--context", "0", "x"}, "--context"},
      {{"run", "-m", dir, ""}, "empty"},
      {{"run", "-m", dir, " \t\n "}, "empty"},
      {{"run", "-m", dir, "\u00a0\u3000"}, "empty"},
      {{"run", "-m", dir}, "empty"},
      {{"run", "-m", dir, "--raw", "--system", "s", "x"}, "--raw"},
      {{"run", "-m", dir, "--messages", "m.json", "x"}, "--messages"},
      {{"tokenize", "-m", dir}, "TEXT"},
      {{"tokenize", "-m", dir, "--raw", "--chat", "x"}, "one of"},
      {{"tokenize", "-m", dir, "--system", "s", "x"}, "--chat"},
      {{"tokenize", "-m", dir, "--image", "x.png", "x"}, "--image"},
      {{"tokenize", "-m", dir, "--chat", " "}, "empty"},
      {{"trace", "-m", dir, "--out", "/tmp/x.safetensors"}, "--ids"},
      {{"trace", "-m", dir, "--ids", "2"}, "--out"},
      {{"trace", "-m", dir, "--ids", "2,two", "--out", "/tmp/x.safetensors"}, "'two'"},
      {{"trace", "-m", dir, "--ids", "", "--out", "/tmp/x.safetensors"}, "--ids: expected token ids, found none"},
      {{"trace", "-m", dir, "--ids", "2,,3", "--out", "/tmp/x.safetensors"}, "found '' in place 1"},
      {{"trace", "-m", dir, "--ids", ",2", "--out", "/tmp/x.safetensors"}, "found '' in place 0"},
      {{"trace", "-m", dir, "--ids", "2,", "--out", "/tmp/x.safetensors"}, "found '' in place 1"},
      {{"trace", "-m", dir, "--ids", "2 3", "--out", "/tmp/x.safetensors"}, "found '2 3' in place 0"},
      {{"trace", "-m", dir, "--ids", "2", "--prompt", "x", "--out", "/tmp/x.safetensors"}, "one of"},
      {{"inspect", "-m", dir, "surplus"}, "'surplus'"},
      {{"run", "-m", dir, "--logit-bias", "5", "x"}, "ID=V"},
      {{"run", "-m", dir, "--logit-bias", "five=1", "x"}, "'five'"},
      {{"run", "-m", dir, "--logit-bias", "5=inf", "x"}, "'inf'"},
      {{"run", "-m", dir, "--logit-bias", "5=1", "--logit-bias", "5=2", "x"}, "each token id once"},
      {{"run", "-m", dir, "--ban-token", "-1", "x"}, "'-1'"},
      {{"run", "-m", dir, "--logprobs", "3", "x"}, "--json"},
      {{"run", "-m", dir, "--json", "--logprobs", "21", "x"}, "--logprobs"},
      {{"run", "-m", dir, "--presence-penalty", "nan", "x"}, "--presence-penalty"},
      {{"run", "-m", dir, "--min-tokens", "-1", "x"}, "--min-tokens"},
      {{"run", "-m", dir, "--continue", "x"}, "--messages"},
      {{"tokenize", "-m", dir, "--continue", "x"}, "--messages"},
      {{"trace", "-m", dir, "--image", "x.png", "--cut", "--out", "/tmp/x.safetensors"}, "--cut"},
      {{"convert"}, "found none"},
      {{"convert", dir}, "found only " + dir},
      {{"convert", "-m", dir}, "found only " + dir},
      {{"convert", dir, "/tmp/x.g3n", "surplus"}, "'surplus' (the towers of another file come with --mmproj)"},
      {{"inspect", dir, "mmproj.gguf"}, "'mmproj.gguf' (the towers of another file come with --mmproj)"},
      {{"eval", "kld", dir, "--candidate", "q4", "-f", "x.txt"}, "a model comes with -m"},
      {{"eval", "-m", dir, "--candidate", "q4"}, "kld or media"},
      {{"eval", "kld", "-m", dir, "--candidate", "q4"}, "-f FILE"},
      {{"eval", "kld", "--candidate", "q4", "-f", "x.txt", "--image", "x.png"}, "--image"},
      {{"eval", "media", "-m", dir, "--candidate", "q4"}, "--audio"},
      {{"eval", "media", "-m", dir, "--candidate", "q4", "--image", "x.png", "--window", "8"}, "--window"},
  };
  for (const BadUsage& bad : cases) {
    SCOPED_TRACE(::testing::PrintToString(bad.arguments));
    expect_failure(run_g3n(bad.arguments), 2, bad.words);
  }
}

TEST(Usage, AQuestionWithoutAModelIsToldWhatItWasTakenFor) {
  const Outcome outcome = run_g3n({"run", "What is 3 plus 4?"});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("'What is 3 plus 4?' was taken for the model"), HasSubstr("-m MODEL")));
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1);
}

// The same where a pipe gives a prompt, or nothing asks for one.
TEST(Usage, AModelThatIsNotThereIsToldWhatItWasTakenFor) {
  for (const Arguments& arguments : {Arguments{"run", "What is 3 plus 4?"}, Arguments{"chat", "hello there"}}) {
    const Outcome outcome = run_g3n(arguments, "words from a pipe");
    EXPECT_EQ(outcome.status, 1);
    EXPECT_THAT(outcome.err,
                AllOf(HasSubstr("no such file"), HasSubstr("was taken for the model"), HasSubstr("-m MODEL")));
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1);
  }
}

TEST(Usage, TextThatIsNoUtf8IsNamed) {
  const TemporaryFolder folder;
  write_text(folder.path("bytes"), "abc\xff");
  const std::string dir = demo(), bytes = folder.path("bytes");
  const BadUsage cases[] = {{{"run", "-m", dir, "-f", bytes}, bytes + ": expected UTF-8"},
                            {{"eval", "kld", "-m", dir, "--candidate", "q4", "-f", bytes}, bytes + ": expected UTF-8"},
                            {{"run", "-m", dir, "\xff"}, "the prompt: expected UTF-8"},
                            {{"run", "-m", dir, "--system", "\xff", "x"}, "--system: expected UTF-8"},
                            {{"run", "-m", dir, "--stop", "\xff", "x"}, "--stop: expected UTF-8"}};
  for (const BadUsage& bad : cases) expect_failure(run_g3n(bad.arguments), 1, bad.words);
  expect_failure(run_g3n({"run", "-m", dir, "x"}, "a\xff"), 1, "stdin: expected UTF-8");
}

TEST(Usage, AnAddedTokenThatTheModelLacksIsNamed) {
  const TemporaryFolder folder;
  std::filesystem::copy(demo(), folder.path("model"), std::filesystem::copy_options::recursive);
  std::string tokenizer = read_text(folder.path("model/tokenizer.json"));
  const std::string list = "\"added_tokens\": [";
  ASSERT_NE(tokenizer.find(list), std::string::npos);
  tokenizer.insert(tokenizer.find(list) + list.size(),
                   "{\"id\": 5000, \"content\": \"<mine>\", \"special\": true, \"normalized\": false},");
  write_text(folder.path("model/tokenizer.json"), tokenizer);
  EXPECT_EQ(run_g3n({"run", "-m", folder.path("model"), "--max-tokens", "2", "Hello <mine>"}).status, 0);  // a text
  expect_failure(run_g3n({"run", "-m", folder.path("model"), "--raw", "Hello <mine>"}), 1,
                 "id 5000 ('<mine>'), the model's table has 2304 rows");
}

TEST(Usage, ALongQuestionInThePlaceOfTheModelIsToldSo) {
  std::string question;
  for (int i = 0; i < 100; ++i) question += "why ";
  const Outcome outcome = run_g3n({"run", question, "x"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("why : cannot open: File name too long; 'why"), HasSubstr("-m MODEL")));
}

// A flag that a command would take and ignore gives the user something else than he asked for.
TEST(Usage, ACommandRefusesFlagsThatItWouldIgnore) {
  const TemporaryFolder folder;
  const std::string dir = demo(), out = folder.path("out");
  const BadUsage commands[] = {
      {{"inspect", dir}, "--quantize q4|--threads 2|--chunk 8|--image-size 64|--release-encoders"},
      {{"tokenize", dir, "x"},
       "--quantize q4|--dtype f32|--kv-cache f32|--threads 2|--context 8|--chunk 8|--image-size 64|--release-encoders"},
      {{"trace", dir, "--ids", "2", "--out", out}, "--release-encoders"},
      {{"bench", dir, "--prefill", "8", "--repeat", "1"}, "--release-encoders|--context 8|--image-size 64"},
      {{"convert", dir, out},
       "--quantize q8|--dtype f32|--kv-cache f32|--context 8|--chunk 8|--image-size 64|--release-encoders"},
      {{"eval", "kld", "-m", dir, "--candidate", "q4", "-f", "x"}, "--quantize q4|--context 8|--release-encoders"},
      {{"chat", dir}, "--logprobs 1|--json|--raw|--image x.png"},
  };
  for (const auto& [command, flags] : commands)
    for (size_t begin = 0; begin < flags.size();) {
      const size_t end = std::min(flags.find('|', begin), flags.size());
      const std::string flag = flags.substr(begin, end - begin), name = flag.substr(0, flag.find(' '));
      Arguments arguments = command;
      arguments.push_back(name);
      if (name != flag) arguments.push_back(flag.substr(name.size() + 1));
      SCOPED_TRACE(::testing::PrintToString(arguments));
      expect_failure(run_g3n(arguments), 2, name);
      begin = end + 1;
    }
  EXPECT_THAT(folder.names(), IsEmpty());
}

TEST(Failure, NamesTheFileAndIsStatusOne) {
  const TemporaryFolder folder;
  write_text(folder.path("not_a_picture.png"), "words");
  write_text(folder.path("empty.wav"), "");
  write_text(folder.path("ids"), "2, 3\n4,\n,5");
  const std::string dir = demo(), gone = folder.path("gone");
  const BadUsage cases[] = {
      {{"run", "-m", gone, "x"}, gone},
      {{"run", "-m", folder.path(), "x"}, "config.json"},
      {{"chat", "-m", gone}, gone},
      {{"inspect", gone}, gone},
      {{"run", "-m", dir, "--image", gone, "x"}, gone},
      {{"run", "-m", dir, "--image", folder.path(), "x"}, folder.path()},
      {{"run", "-m", dir, "--image", folder.path("not_a_picture.png"), "x"}, "not_a_picture.png"},
      {{"run", "-m", dir, "--audio", folder.path("empty.wav"), "x"}, "empty.wav"},
      {{"run", "-m", dir, "-f", gone}, gone},
      {{"run", "-m", dir, "--messages", gone}, gone},
      {{"run", "-m", dir, "--context", "8", "Hello, how are you today?"}, "8"},
      {{"run", "-m", dir, "--context", "999999", "x"}, "999999"},
      {{"trace", "-m", dir, "--ids", "2", "--out", gone + "/t.safetensors"}, gone},
      {{"trace", "-m", dir, "--ids", "2", "--out", folder.path()}, "folder"},
      {{"trace", "-m", dir, "--ids", "2", "--out", "/dev/null"}, "not a regular file"},
      {{"convert", dir, folder.path("x.GGUF")},
       "x.GGUF: what is written is a bundle and no .gguf file: expected a name"},
      {{"convert", dir, folder.path("x.safetensors")}, "no .safetensors file: expected a name that ends in .g3n"},
      {{"trace", "-m", dir, "--ids", "2,9999999", "--out", folder.path("t.safetensors")}, "9999999"},
      {{"trace", "-m", dir, "--ids-file", folder.path("ids"), "--out", folder.path("t.safetensors")},
       "ids: expected a token id, found '' in place 3"},
      {{"trace", "-m", dir, "--ids-file", gone, "--out", folder.path("t.safetensors")}, gone},
      {{"trace", "-m", dir, "--ids", "2", "--taps", "no.such", "--out", folder.path("t.safetensors")}, "no.such"},
  };
  for (const BadUsage& bad : cases) {
    SCOPED_TRACE(::testing::PrintToString(bad.arguments));
    const Outcome outcome = run_g3n(bad.arguments);
    EXPECT_EQ(outcome.status, 1);
    EXPECT_THAT(outcome.out, IsEmpty());
    EXPECT_THAT(outcome.err, HasSubstr(bad.words));
    EXPECT_THAT(outcome.err, MatchesRegex("(g3n: warning: [^\n]*\n)*g3n: [^\n]*\n"));
  }
  EXPECT_THAT(folder.names(), ::testing::UnorderedElementsAre("not_a_picture.png", "empty.wav", "ids"));
}

TEST(Failure, AnUnknownHubNameSaysHowToFetchIt) {
  const TemporaryFolder cache;
  ::setenv("HF_HUB_CACHE", cache.path().c_str(), 1);
  const Outcome outcome = run_g3n({"run", "-m", "google/gemma-3n-E2B-it", "x"});
  ::unsetenv("HF_HUB_CACHE");
  expect_failure(outcome, 1, "download");
  EXPECT_THAT(outcome.err, HasSubstr(cache.path()));
}

TEST(HubCache, AModelInItIsFoundByName) {
  const TemporaryFolder home;
  const std::filesystem::path model = home.path("hub/models--someone--demo");
  std::filesystem::create_directories(model / "refs");
  std::filesystem::create_directories(model / "snapshots");
  write_text((model / "refs/main").string(), "0123abcd");
  std::filesystem::create_directory_symlink(demo(), model / "snapshots/0123abcd");
  ::setenv("HF_HOME", home.path().c_str(), 1);
  const Outcome outcome = run_g3n({"tokenize", "-m", "someone/demo", "--chat", "Hello!"});
  ::unsetenv("HF_HOME");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  std::string ids;
  for (const std::int64_t id : conversation("hello").ids) (ids.empty() ? ids : ids += ' ') += std::to_string(id);
  EXPECT_EQ(outcome.out, ids + "\n");
}

TEST(Stdout, AFailedWriteIsStatusOne) {
  expect_failure(run_g3n_into("/dev/full", {"run", "-m", demo(), "--temperature", "0", "Hello!"}), 1, "stdout");
  expect_failure(run_g3n_into("/dev/full", {"tokenize", "-m", demo(), "Hello!"}), 1, "stdout");
  expect_failure(run_g3n_into("/dev/full", {"--help"}), 1, "stdout");
}

TEST(Stdout, AClosedPipeEndsQuietly) {
  for (const Arguments& arguments :
       {Arguments{"run", "-m", demo(), "Hello!"}, Arguments{"inspect", demo(), "--tensors"}}) {
    const Outcome outcome = run_g3n_into_closed_pipe(arguments);
    EXPECT_EQ(outcome.status, 1);
    EXPECT_THAT(outcome.err, IsEmpty());
  }
}

TEST(Stdout, ClosedStandardStreamsAreErrorsNotOtherFiles) {
  const std::string program = G3N_PROGRAM, model = demo();
  const auto shell = [](const std::string& command) { return run_program("/bin/sh", {"-c", command}); };
  expect_failure(shell(program + " run -m " + model + " - <&-"), 1, "stdin");
  expect_failure(shell(program + " tokenize -m " + model + " x >&-"), 1, "stdout");
  EXPECT_EQ(shell(program + " tokenize -m " + model + " x 2>&-").status, 0);
}

TEST(Interrupt, WhileWaitingForStdinIs130) {
  for (const Arguments& arguments : {Arguments{"run", "-m", demo(), "-"}, Arguments{"tokenize", "-m", demo(), "-"}}) {
    Running g3n(arguments);
    ::usleep(200'000);
    g3n.interrupt();
    EXPECT_EQ(g3n.finish().status, 130);
  }
}

TEST(Interrupt, InTheMiddleOfAPromptIs130AndLeavesNoFile) {
  const TemporaryFolder folder;
  std::string ids = "2";
  for (int i = 0; i < 20'000; ++i) ids += " 107";
  write_text(folder.path("ids"), ids);
  Running g3n({"trace", "-m", demo(), "--ids-file", folder.path("ids"), "--taps", "text.norm", "--threads", "1",
               "--out", folder.path("t.safetensors")});
  ::usleep(300'000);
  g3n.interrupt();
  const Outcome outcome = g3n.finish();
  EXPECT_EQ(outcome.status, 130);
  EXPECT_THAT(outcome.out, IsEmpty());
  EXPECT_THAT(folder.names(), ::testing::ElementsAre("ids"));
}

TEST(Inspect, TypesOfGgufHaveAColumn) {
  const std::string gguf = source_path("tests/golden/data/gguf/text-mixed.gguf");
  EXPECT_THAT(run_g3n({"inspect", gguf, "--tensors"}).out,
              AllOf(HasSubstr(" IQ4_NL  [256, 96] "), HasSubstr(" Q4_0    [192, 96] ")));
}

TEST(Inspect, TheCacheIsThatOfTheContextOrAnError) {
  const std::string json = run_g3n({"inspect", demo(), "--json", "--context", "100"}).out;
  EXPECT_EQ(json_number(json, "kv_cache/positions"), 100);
  expect_failure(run_g3n({"inspect", demo(), "--context", "32769"}), 1, "context: expected at most 32768");
  expect_failure(run_g3n({"run", demo(), "--context", "32769", "x"}), 1, "context: expected at most 32768");
}

TEST(Inspect, CountsTheParametersOfTheFile) {
  const Outcome text = run_g3n({"inspect", demo(), "--tensors"});
  EXPECT_EQ(text.status, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("feed-forward"));
  EXPECT_THAT(text.out, HasSubstr("model.language_model.layers.0.self_attn.q_proj.weight"));
  const Outcome json = run_g3n({"inspect", demo(), "--json"});
  EXPECT_EQ(json.status, 0) << json.err;
  // Every byte of the file but its header belongs to the model, to dead tensors, or to none of it.
  const double listed = json_number(json.out, "total/file_bytes") + json_number(json.out, "dead/file_bytes") +
                        json_number(json.out, "not_used/file_bytes");
  const std::string file = read_text(demo() + "/model.safetensors");
  std::uint64_t header = 0;
  for (int i = 7; i >= 0; --i) header = header << 8 | static_cast<unsigned char>(file[static_cast<size_t>(i)]);
  EXPECT_EQ(listed, static_cast<double>(file.size() - 8 - header));
  EXPECT_GT(json_number(json.out, "dead/parameters"), 0);
}

}  // namespace
}  // namespace g3n::testing
