// g3n chat, scripted through pipes and through a pseudo-terminal.
#include <gmock/gmock.h>
#include <unistd.h>

#include "apps/conversations.h"
#include "apps/program.h"

namespace g3n::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Outcome chat(const std::string& script, Arguments more = {}) {
  more.insert(more.begin(), {demo(), "--temperature", "0"});  // a path without a subcommand is a chat
  return run_g3n(more, script);
}

std::string answer_to(const std::string& prompt) {
  return run_g3n({"run", "-m", demo(), "--temperature", "0", prompt}).out;
}

TEST(Chat, AnswersLineByLine) {
  const Outcome outcome = chat("Hello!\n\nRepeat: seven blue two ring");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(outcome.out.substr(0, conversation("hello").text.size() + 1), conversation("hello").text + "\n");
  EXPECT_EQ(std::count(outcome.out.begin(), outcome.out.end(), '\n'), 2);
}

TEST(Chat, KeepsTheConversation) {
  const TemporaryFolder folder;
  const std::string first = answer_to("What is 2 plus 2?");
  write_text(folder.path("m.json"),
             "[{\"role\": \"user\", \"content\": \"What is 2 plus 2?\"}, {\"role\": \"assistant\", \"content\": \"" +
                 first.substr(0, first.size() - 1) + "\"}, {\"role\": \"user\", \"content\": \"Thank you!\"}]");
  const Outcome second = run_g3n({"run", "-m", demo(), "--temperature", "0", "--messages", folder.path("m.json")});
  EXPECT_EQ(chat("What is 2 plus 2?\nThank you!\n").out, first + second.out);
}

TEST(Chat, UndoAndResetForget) {
  const std::string hello = conversation("hello").text + "\n", sum = conversation("sum").text + "\n";
  EXPECT_EQ(chat("Hello!\n/undo\n" + conversation("sum").prompt + "\n").out, hello + sum);
  EXPECT_EQ(chat("Hello!\n/reset\n" + conversation("sum").prompt + "\n").out, hello + sum);
  const Outcome nothing = chat("/undo\nHello!\n");
  EXPECT_THAT(nothing.err, HasSubstr("/undo"));
  EXPECT_EQ(nothing.out, hello);
}

TEST(Chat, TakesSystemTextAndMedia) {
  const Conversation& system = conversation("sum_with_system");
  EXPECT_EQ(chat("/system " + system.system + "\n" + system.prompt + "\n").out, system.text + "\n");
  EXPECT_EQ(chat(system.prompt + "\n", {"--system", system.system}).out, system.text + "\n");
  EXPECT_EQ(chat("Hello!\n/reset\n" + system.prompt + "\n", {"--system", system.system}).out.substr(0),
            chat("Hello!\n", {"--system", system.system}).out + system.text + "\n");
  const Conversation& caption = conversation("caption");
  EXPECT_EQ(chat("/image " + caption.images.at(0) + "\n" + caption.prompt + "\n").out, caption.text + "\n");
  const Conversation& spoken = conversation("spoken_question");
  EXPECT_EQ(chat("/image " + spoken.images.at(0) + "\n/audio " + spoken.audios.at(0) + "\n\n").out, spoken.text + "\n");
}

TEST(Chat, JoinsLines) {
  const std::string want = answer_to("one\ntwo\nthree");
  EXPECT_EQ(chat("one\\\ntwo\\\nthree\n").out, want);
  EXPECT_EQ(chat("\"\"\"one\ntwo\nthree\"\"\"\n").out, want);
  EXPECT_EQ(chat("\"\"\"\nHello!\n\"\"\"\n").out, conversation("hello").text + "\n");
}

TEST(Chat, ErrorsDoNotEndIt) {
  const TemporaryFolder folder;
  write_text(folder.path("words.png"), "words");
  const std::string hello = conversation("hello").text + "\n";
  const Outcome outcome = chat("/bogus\n/image\n/image /no/such/file\n/image " + folder.path("words.png") +
                               "\nWhat is it?\nHello!\n/system too late\n/save /no/such/folder/file\n");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.out, hello);
  for (const char* words : {"/bogus", "/image needs", "/no/such/file", "words.png", "system", "/no/such/folder"})
    EXPECT_THAT(outcome.err, HasSubstr(words));
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 6) << outcome.err;
}

TEST(Chat, AFullContextIsAnErrorWithBothNumbers) {
  std::string words;
  for (int i = 0; i < 100; ++i) words += "seven ";
  const Outcome outcome = chat(words + "\nHello!\n", {"--context", "64"});
  EXPECT_THAT(outcome.err, ::testing::ContainsRegex("[0-9]+ .*64"));
  EXPECT_EQ(outcome.out, conversation("hello").text + "\n");
}

TEST(Chat, SavesWhatRunCanRead) {
  const TemporaryFolder folder;
  const Conversation& c = conversation("caption");
  const Outcome outcome = chat("/image " + c.images.at(0) + "\n" + c.prompt + "\nThank you!\n/undo\n/save " +
                               folder.path("saved chat.json") + "\n");
  EXPECT_EQ(outcome.err, "");
  EXPECT_THAT(folder.names(), ElementsAre("saved chat.json"));
  EXPECT_THAT(message_lines(read_text(folder.path("saved chat.json"))),
              ElementsAre("user: <image> " + c.prompt, "assistant: " + c.text));
  EXPECT_EQ(run_g3n({"tokenize", "-m", demo(), "--messages", folder.path("saved chat.json")}).status, 0);
}

TEST(Chat, CtrlCStopsTheAnswerAndNotTheProgram) {
  const std::string hello = conversation("hello").text + "\n";
  Running g3n({"chat", "-m", demo(), "--temperature", "0", "--threads", "1"});
  g3n.write("Hello!\n");
  ASSERT_TRUE(g3n.read_until(hello));
  std::string long_message;
  for (int i = 0; i < 25'000; ++i) long_message += " seven";
  g3n.write("/reset\n" + long_message + "\n");
  ::usleep(500'000);
  g3n.interrupt();
  g3n.write("Hello!\n");
  EXPECT_TRUE(g3n.read_until(hello));
  const Outcome outcome = g3n.finish();
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.err, "");
}

TEST(Chat, CtrlCWhileItReadsAPipeIs130) {
  Running g3n({"chat", "-m", demo()});
  ::usleep(300'000);
  g3n.interrupt();
  EXPECT_EQ(g3n.finish().status, 130);
}

TEST(Terminal, EditsLinesAndSurvivesCtrlC) {
  Running g3n({"chat", "-m", demo(), "--temperature", "0"}, Running::Stdio::kTerminal);
  // The editor redraws its prompt: a moment later it surely reads keys, where a terminal in line mode would take Ctrl-D
  // for itself.
  const auto at_prompt = [&g3n] { return g3n.read_until("> ") && ::usleep(300'000) == 0; };
  ASSERT_TRUE(at_prompt());
  g3n.write("half a line\x03");  // the terminal makes SIGINT of it
  ASSERT_TRUE(g3n.read_until("/exit or Ctrl-D leaves"));
  ASSERT_TRUE(at_prompt());
  g3n.write("Helo!\x1b[D\x1b[Dl\r");  // two to the left, the missing letter
  EXPECT_TRUE(g3n.read_until(conversation("hello").text));
  ASSERT_TRUE(at_prompt());
  g3n.write("/reset\r");
  ASSERT_TRUE(at_prompt());
  g3n.write("\x1b[A\x1b[A\r");  // history: before /reset
  EXPECT_TRUE(g3n.read_until(conversation("hello").text));
  ASSERT_TRUE(at_prompt());
  g3n.write("\x04");
  EXPECT_EQ(g3n.finish().status, 0);
}

}  // namespace
}  // namespace g3n::testing
