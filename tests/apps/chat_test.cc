// g3n chat, scripted through pipes and through a pseudo-terminal.
#include <gmock/gmock.h>
#include <signal.h>
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

// What follows a failed line was meant for a conversation that is not there.
TEST(Chat, AFailedLineEndsAScript) {
  const TemporaryFolder folder;
  write_text(folder.path("words.png"), "words");
  const std::string hello = conversation("hello").text + "\n";
  const std::pair<std::string, std::string> lines[] = {
      {"/bogus", "/bogus"},
      {"/image", "/image needs"},
      {"/image /no/such/file", "/no/such/file"},
      {"/image " + folder.path("words.png") + "\nWhat is it?", "words.png"},
      {"/system too late", "system"},
      {"/undo\n/undo", "/undo"},
      {"/save /no/such/folder/file", "/no/such/folder"}};
  for (const auto& [line, words] : lines) {
    const Outcome outcome = chat("Hello!\n" + line + "\nHello!\n");
    EXPECT_EQ(outcome.status, 1) << line;
    EXPECT_EQ(outcome.out, hello) << line;
    EXPECT_THAT(outcome.err, HasSubstr(words)) << line;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  }
}

TEST(Chat, NothingToSaveIsAnError) {
  const TemporaryFolder folder;
  const Outcome outcome = chat("/system Be brief.\n/save " + folder.path("x") + "\n");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("no message yet"));
  EXPECT_THAT(folder.names(), IsEmpty());
}

TEST(Chat, AFullContextIsAnErrorWithBothNumbers) {
  std::string words;
  for (int i = 0; i < 100; ++i) words += "seven ";
  const Outcome outcome = chat("Hello!\n" + words + "\nHello!\n", {"--context", "64"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, ::testing::ContainsRegex("[0-9]+ .*64"));
  EXPECT_EQ(outcome.out, conversation("hello").text + "\n");
}

TEST(Chat, OneLineOfManyMegabytesIsReadAtOnce) {
  const Outcome outcome =
      chat(std::string(40'000'000, 'a') + "\nHello!\n");  // of old 36 s, in the square of its length
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("context"));
}

// A parent may leave the pipe non-blocking: nothing there is not the end.
TEST(Chat, WaitsForALateWriterOfANonBlockingPipe) {
  Running g3n({"chat", "-m", demo(), "--temperature", "0"}, Running::Stdio::kNonBlockingPipes);
  ::usleep(300'000);
  g3n.write("Hel");
  ::usleep(100'000);
  g3n.write("lo!\n");
  EXPECT_TRUE(g3n.read_until(conversation("hello").text + "\n"));
  const Outcome outcome = g3n.finish();
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.err, "");
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

std::string sevens(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += " seven";
  return text;
}

TEST(Chat, CtrlCEndsAScriptWith130) {
  const std::string hello = conversation("hello").text + "\n";
  Running g3n({"chat", "-m", demo(), "--temperature", "0", "--threads", "1"});
  g3n.write("Hello!\n");
  ASSERT_TRUE(g3n.read_until(hello));
  g3n.write("/reset\n" + sevens(25'000) + "\nHello!\n");
  ::usleep(100'000);  // while it reads the prompt, or even the line
  g3n.interrupt();
  const Outcome outcome = g3n.finish();
  EXPECT_EQ(outcome.status, 130);
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(outcome.err, "");
}

TEST(Chat, CtrlCWhileItReadsAPipeIs130) {
  Running g3n({"chat", "-m", demo()});
  ::usleep(300'000);
  g3n.interrupt();
  EXPECT_EQ(g3n.finish().status, 130);
}

// A chat at a terminal.
class ChatTerminal : public ::testing::Test {
 protected:
  // The editor redraws its prompt: a moment later it surely reads keys.
  bool at_prompt() { return g3n_.read_until("> ") && ::usleep(300'000) == 0; }
  bool answers_hello() { return g3n_.read_until(conversation("hello").text); }
  void expect_good_end() {
    g3n_.write("/exit\r");
    EXPECT_EQ(g3n_.finish().status, 0);
  }
  // What /save writes of the conversation.
  std::string saved() {
    g3n_.write("/save " + folder_.path("saved.json") + "\r");
    EXPECT_TRUE(g3n_.read_until("saved /"));
    return message_lines(read_text(folder_.path("saved.json"))).at(0);
  }

  TemporaryFolder folder_;
  Running g3n_{{"chat", "-m", demo(), "--temperature", "0", "--threads", "1", "--max-tokens", "20"},
               Running::Stdio::kTerminal};
};

TEST_F(ChatTerminal, EditsLinesAndSurvivesCtrlC) {
  ASSERT_TRUE(at_prompt());
  g3n_.write("half a line\x03");  // the terminal makes SIGINT of it
  ASSERT_TRUE(g3n_.read_until("/exit or Ctrl-D leaves"));
  ASSERT_TRUE(at_prompt());
  g3n_.write("Helo!\x1b[D\x1b[Dl\r");  // two to the left, the missing letter
  EXPECT_TRUE(answers_hello());
  ASSERT_TRUE(at_prompt());
  g3n_.write("/reset\r");
  ASSERT_TRUE(at_prompt());
  g3n_.write("\x1b[A\x1b[A\r");  // history: before /reset
  EXPECT_TRUE(answers_hello());
  ASSERT_TRUE(at_prompt());
  g3n_.write("\x04");
  EXPECT_EQ(g3n_.finish().status, 0);
}

TEST_F(ChatTerminal, ErrorsDoNotEndIt) {
  write_text(folder_.path("words.png"), "words");
  const std::pair<std::string, std::string> lines[] = {
      {"/bogus", "no command /bogus"},
      {"/image", "/image needs"},
      {"/image /no/such/file", "/no/such/file: "},
      {"/image " + folder_.path("words.png") + "\rWhat is it?", "are dropped"},
      {"/undo", "no message to forget"},
      {sevens(40'000), "context"}};
  for (const auto& [line, words] : lines) {
    ASSERT_TRUE(at_prompt()) << words;
    g3n_.write(line + "\r");
    EXPECT_TRUE(g3n_.read_until(words)) << words;
  }
  ASSERT_TRUE(at_prompt());
  g3n_.write("Hello!\r");
  EXPECT_TRUE(answers_hello());
  expect_good_end();
}

TEST_F(ChatTerminal, CtrlCStopsTheAnswerAndNotTheProgram) {
  ASSERT_TRUE(at_prompt());
  g3n_.write(sevens(25'000) + "\r");
  ASSERT_TRUE(g3n_.read_until("reading the prompt: "));
  g3n_.write("\x03");
  EXPECT_TRUE(g3n_.read_until("not part of the conversation"));
  ASSERT_TRUE(at_prompt());
  g3n_.write("Hello!\r");
  EXPECT_TRUE(answers_hello());
  expect_good_end();
}

TEST_F(ChatTerminal, APastedBlockIsOneMessage) {
  ASSERT_TRUE(g3n_.read_until("\x1b[?2004h"));
  ASSERT_TRUE(at_prompt());
  g3n_.write("\x1b[200~one\r\r/two\\\r\tthree \xc3\xa9\r\x1b[201~ four\r");
  ASSERT_TRUE(at_prompt());
  EXPECT_EQ(saved(), "user: one\n\n/two\\\n\tthree \xc3\xa9 four");
  g3n_.write("/reset\r\x1b[200~/usr/bin/x: not found\rwhy?\x1b[201~\r");
  ASSERT_TRUE(g3n_.read_until("why?"));
  ASSERT_TRUE(at_prompt());
  EXPECT_EQ(saved(), "user: /usr/bin/x: not found\nwhy?");
  expect_good_end();
}

// In line mode a terminal keeps 4,095 bytes of a line and drops the rest.
TEST_F(ChatTerminal, WhatIsTypedDuringAnAnswerIsKeptWhole) {
  ASSERT_TRUE(at_prompt());
  g3n_.write(sevens(20'000) + "\r");
  ASSERT_TRUE(g3n_.read_until("reading the prompt: "));
  g3n_.write(std::string(10'000, 'x') + " end\r/reset\rHello!\r");
  ASSERT_TRUE(g3n_.read_until(" end\r\n"));
  EXPECT_TRUE(answers_hello());
  EXPECT_EQ(saved(), "user: Hello!");
  expect_good_end();
}

// Without an editor, as where stderr is a file: what was typed early is a line, its corrections made, Ctrl-D the end.
TEST(PlainTerminal, KeysThatWaitAreALine) {
  Running g3n({"chat", "-m", demo(), "--temperature", "0"}, Running::Stdio::kTerminalWithoutStderr);
  ::usleep(300'000);
  g3n.write("Hello?\x7f!\r");
  ASSERT_TRUE(g3n.read_until("How can I"));
  g3n.write(sevens(500) + "\r\x04");
  EXPECT_EQ(g3n.finish().status, 0);
}

// Whatever ends it, the shell finds its terminal as it was.
TEST_F(ChatTerminal, IsAsItWasAfterASignal) {
  ASSERT_TRUE(at_prompt());
  EXPECT_FALSE(g3n_.terminal_has_lines());
  g3n_.send(SIGTERM);
  EXPECT_TRUE(g3n_.read_until("\x1b[?2004l"));
  EXPECT_TRUE(g3n_.terminal_has_lines());
  EXPECT_EQ(g3n_.finish().status, 128 + SIGTERM);
}

}  // namespace
}  // namespace g3n::testing
