// What the program leaves on the disk and on the terminal when something goes wrong: signals, limits, files that are
// cut, names that a terminal would obey, its own sources as targets.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "apps/program.h"
#include "support/source_path.h"

namespace g3n::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

void copy_demo(const std::string& to) {
  fs::create_directories(to);
  for (const auto& entry : fs::directory_iterator(demo()))
    if (entry.is_regular_file()) fs::copy_file(entry.path(), fs::path(to) / entry.path().filename());
}

// Waits until a file whose name holds `part` is in the folder.
bool wait_for_file(const TemporaryFolder& folder, const std::string& part) {
  for (int i = 0; i < 20'000; ++i, ::usleep(1000))
    for (const std::string& name : folder.names())
      if (name.find(part) != std::string::npos) return true;
  return false;
}

Arguments convert_to(const std::string& out, const std::string& model = demo()) {
  return {"convert", model, out, "--recipe", "q4", "--threads", "1"};
}

TEST(Signals, AConvertThatIsEndedLeavesNothing) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGXCPU}) {
    SCOPED_TRACE(signal);
    const TemporaryFolder folder;
    Running g3n(convert_to(folder.path("out.g3n")));
    ASSERT_TRUE(wait_for_file(folder, "out.g3n.tmp-"));
    g3n.send(signal);
    const Outcome outcome = g3n.finish();
    EXPECT_EQ(outcome.status, signal == SIGINT ? 130 : 128 + signal);
    EXPECT_THAT(folder.names(), IsEmpty());
  }
}

TEST(Signals, TheOldFileStaysAndNohupHolds) {
  const TemporaryFolder folder;
  write_text(folder.path("out.g3n"), "precious");
  Arguments arguments = convert_to(folder.path("out.g3n"));
  arguments.push_back("--force");
  {
    Running g3n(arguments);
    ASSERT_TRUE(wait_for_file(folder, "out.g3n.tmp-"));
    g3n.send(SIGTERM);
    EXPECT_EQ(g3n.finish().status, 128 + SIGTERM);
  }
  EXPECT_THAT(folder.names(), ElementsAre("out.g3n"));
  EXPECT_EQ(read_text(folder.path("out.g3n")), "precious");
  ::signal(SIGHUP, SIG_IGN);  // inherited
  Running g3n(arguments);
  ASSERT_TRUE(wait_for_file(folder, "out.g3n.tmp-"));
  g3n.send(SIGHUP);
  const Outcome outcome = g3n.finish();
  ::signal(SIGHUP, SIG_DFL);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(folder.names(), ElementsAre("out.g3n"));
}

// ulimit -f: SIGXFSZ would end the process.
TEST(Limits, AFileSizeLimitIsOneLineAndLeavesNothing) {
  const TemporaryFolder folder;
  const std::string program = G3N_PROGRAM, out = folder.path("out");
  for (const std::string& command :
       {" convert " + demo() + " " + out, " trace -m " + demo() + " --ids 2,3,4 --out " + out}) {
    const Outcome outcome = run_program("/bin/sh", {"-c", "ulimit -f 16; exec " + program + command});
    EXPECT_EQ(outcome.status, 1);
    EXPECT_THAT(outcome.err, HasSubstr(out + ": cannot write: File too large"));
    EXPECT_THAT(folder.names(), IsEmpty());
  }
}

TEST(Targets, TheSourceOfAConvertIsNotReplaced) {
  const TemporaryFolder folder;
  const std::string model = folder.path("model");
  copy_demo(model);
  fs::create_symlink(model + "/model.safetensors", folder.path("link"));
  fs::create_hard_link(model + "/config.json", folder.path("hard"));
  fs::create_directory_symlink(model, folder.path("same"));
  const auto size = fs::file_size(model + "/model.safetensors");
  for (const std::string& out : {model + "/model.safetensors", model + "/config.json", folder.path("link"),
                                 folder.path("hard"), folder.path("same/tokenizer.model")}) {
    SCOPED_TRACE(out);
    Arguments arguments = convert_to(out, model);
    EXPECT_THAT(run_g3n(arguments).err, HasSubstr("--force"));
    arguments.push_back("--force");
    const Outcome outcome = run_g3n(arguments);
    EXPECT_EQ(outcome.status, 1);
    EXPECT_THAT(outcome.err, HasSubstr("a file of the model that is being read"));
    const Outcome traced = run_g3n({"trace", "-m", model, "--ids", "2", "--out", out});
    EXPECT_EQ(traced.status, 1);
    EXPECT_THAT(traced.err, HasSubstr("a file of the model that is being read"));
    const Outcome saved = run_g3n({"chat", "-m", model}, "Hello!\n/save " + out + "\n/exit\n");
    EXPECT_THAT(saved.err, HasSubstr("a file of the model that is being read"));
  }
  EXPECT_EQ(fs::file_size(model + "/model.safetensors"), size);
  EXPECT_EQ(run_g3n(convert_to(folder.path("a.g3n"), model)).status, 0);
  // A bundle onto itself.
  const Outcome again = run_g3n({"convert", folder.path("a.g3n"), folder.path("a.g3n"), "--force"});
  EXPECT_EQ(again.status, 1);
  EXPECT_THAT(again.err, HasSubstr("a file of the model that is being read"));
}

TEST(Targets, WhatIsNoFileStays) {
  const TemporaryFolder folder;
  ASSERT_EQ(::mkfifo(folder.path("pipe").c_str(), 0600), 0);
  for (const std::string& out : {folder.path("pipe"), std::string("/dev/null")}) {
    Arguments arguments = convert_to(out);
    arguments.push_back("--force");
    for (const Arguments& command : {arguments, Arguments{"trace", "-m", demo(), "--ids", "2", "--out", out}}) {
      const Outcome outcome = run_g3n(command);
      EXPECT_EQ(outcome.status, 1);
      EXPECT_THAT(outcome.err, HasSubstr("not a regular file"));
    }
  }
  EXPECT_TRUE(fs::is_fifo(folder.path("pipe")));
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
}

// What is printed goes on: nothing takes the place of the stream, a pipe as little as a file that the shell opened.
TEST(Targets, StandardOutputStays) {
  const TemporaryFolder folder;
  const std::string log = folder.path("log"), g3n = G3N_PROGRAM;
  const auto shell = [&](const std::string& command, const std::string& input) {
    return run_program("/bin/sh", {"-c", "exec " + g3n + command}, input);
  };
  const std::string chat = " chat -m " + demo() + " --max-tokens 2 --temperature 0";
  for (const std::string& target : {std::string("/dev/stdout"), std::string("/dev/stderr"), folder.path(), log}) {
    const std::string input = "Hello!\n/save " + target + "\n";
    for (const std::string& into : {std::string(), " >" + log, " >" + log + " 2>>" + log}) {
      if (target == log && into.empty()) continue;
      SCOPED_TRACE(target + into);
      const Outcome outcome = shell(chat + into, input);
      EXPECT_EQ(outcome.status, 1);
      const std::string said = outcome.out + outcome.err + (into.empty() ? "" : read_text(log));
      EXPECT_THAT(said, HasSubstr(target));
      EXPECT_THAT(said, ::testing::ContainsRegex("a regular file|found a folder|standard (output|error) goes into"));
      EXPECT_THAT(folder.names(), ::testing::IsSubsetOf({"log"}));
    }
  }
  for (const std::string& command : {" convert --force --recipe q4 " + demo() + " /dev/stdout",
                                     " trace -m " + demo() + " --ids 2 --out /dev/stdout"}) {
    EXPECT_THAT(shell(command, "").err, HasSubstr("/dev/stdout: cannot write: it is not a regular file but a pipe"));
    EXPECT_THAT(shell(command + " >" + log, "").err, HasSubstr("standard output goes into this file"));
    EXPECT_EQ(read_text(log), "");
  }
}

TEST(Models, APipeIsNotWaitedFor) {
  const TemporaryFolder folder;
  copy_demo(folder.path("model"));
  fs::remove(folder.path("model/model.safetensors"));
  ASSERT_EQ(::mkfifo(folder.path("model/model.safetensors").c_str(), 0600), 0);
  for (const std::string& model : {folder.path("model"), folder.path("model/model.safetensors")}) {
    const Outcome outcome = run_program("/usr/bin/timeout", {"20", G3N_PROGRAM, "run", "-m", model, "hello"});
    EXPECT_EQ(outcome.status, 1);
    EXPECT_THAT(outcome.err, HasSubstr("a pipe (FIFO)"));
  }
}

// A picture out of a pipe: a command's output, stdin, or a FIFO, whose writer may come late.
TEST(Media, PipesAreRead) {
  const std::string g3n = std::string("exec ") + G3N_PROGRAM, picture = demo_media("red-circle.png"),
                    command = " run -m " + demo() + " --temperature 0 --max-tokens 8 --image ";
  const auto shell = [](const std::string& line, const std::string& input = "") {
    return run_program("/usr/bin/timeout", {"60", "/bin/bash", "-c", line}, input);
  };
  const Outcome want = shell(g3n + command + picture + " What?");
  ASSERT_EQ(want.status, 0) << want.err;
  const TemporaryFolder folder;
  const std::string fifo = folder.path("fifo");
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  const Outcome substituted = shell(g3n + command + "<(cat " + picture + ") What?"),
                piped = shell(g3n + command + "/dev/stdin What?", read_text(picture)),
                slow = shell(g3n + command + "<(head -c 99 " + picture + "; sleep 0.1; tail -c +100 " + picture +
                             ") What?"),
                late = shell("(sleep 1.5; cat " + picture + " >" + fifo + ") & " + g3n + command + fifo + " What?");
  for (const Outcome* outcome : {&substituted, &piped, &slow, &late}) {
    EXPECT_EQ(outcome->status, 0) << outcome->err;
    EXPECT_EQ(outcome->out, want.out);
    EXPECT_EQ(outcome->err, outcome != &late ? ""
                                             : "g3n: waiting for " + fifo +
                                                   ", a pipe (FIFO) that nothing has come "
                                                   "from yet\n");
  }
  EXPECT_THAT(shell(g3n + command + "<(true) What?").err, HasSubstr("empty"));
}

TEST(Media, APipeThatStaysSilentIsTold) {
  const TemporaryFolder folder;
  const std::string fifo = folder.path("fifo");
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  for (const std::string flag : {"--image", "--audio", "-f", "--messages"}) {
    Arguments arguments = {"-s", "INT", "2", G3N_PROGRAM, "run", "-m", demo(), flag, fifo};
    if (flag != "--messages") arguments.push_back("What?");
    const Outcome outcome = run_program("/usr/bin/timeout", arguments);
    EXPECT_THAT(outcome.err, HasSubstr("waiting for " + fifo + ", a pipe")) << flag;
  }
}

TEST(Models, AFolderOfOneGgufFileIsThatFile) {
  const TemporaryFolder folder;
  const std::string gguf = source_path("tests/golden/data/gguf/text-bf16.gguf");
  fs::create_symlink(gguf, folder.path("text-BF16.gguf"));
  const Outcome one = run_g3n({"inspect", "-m", folder.path()});
  EXPECT_EQ(one.status, 0) << one.err;
  EXPECT_THAT(one.out, HasSubstr("text-BF16.gguf"));
  fs::create_symlink(gguf, folder.path("text-Q8_0.gguf"));
  const Outcome two = run_g3n({"inspect", "-m", folder.path()});
  EXPECT_EQ(two.status, 1);
  EXPECT_THAT(two.err, HasSubstr("text-BF16.gguf ("));
  EXPECT_EQ(run_g3n({"inspect", "-m", folder.path() + ":q8_0"}).status, 0);
  EXPECT_THAT(run_g3n({"inspect", "-m", "nope.gguf"}).err, HasSubstr("nope.gguf: no such file"));
}

// SIGBUS would end the process.
TEST(Models, OneThatIsCutWhileItIsConverted) {
  const TemporaryFolder folder;
  copy_demo(folder.path("model"));
  Running g3n(convert_to(folder.path("out.g3n"), folder.path("model")));
  ASSERT_TRUE(wait_for_file(folder, "out.g3n.tmp-"));
  fs::resize_file(folder.path("model/model.safetensors"), 1 << 20);
  const Outcome outcome = g3n.finish();
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("model.safetensors"));
  EXPECT_THAT(folder.names(), ElementsAre("model"));
}

// A bundle's weights are read where they are mapped.
TEST(Models, OneThatIsCutBetweenTwoAnswers) {
  const TemporaryFolder folder;
  const std::string bundle = folder.path("demo.g3n");
  ASSERT_EQ(run_g3n({"convert", demo(), bundle, "--recipe", "q8"}).status, 0);
  Running chat({"chat", "-m", bundle, "--max-tokens", "4", "--temperature", "0"});
  chat.write("Hello!\n");
  ASSERT_TRUE(chat.read_until("\n"));
  fs::resize_file(bundle, fs::file_size(bundle) / 8);
  chat.write("Where is the key?\n");
  const Outcome outcome = chat.finish();
  EXPECT_LT(outcome.status, 128) << "ended by a signal";
  EXPECT_THAT(outcome.err, HasSubstr("demo.g3n: the file was cut or became unreadable while it was in use"));
}

TEST(Terminal, NothingFromAFileIsObeyed) {
  const std::string evil = "\x1b]0;owned\x07\x1b[31m\xff";
  const Outcome outcome = run_g3n({"run", "-m", "/" + evil, "hello"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("\\x1b]0;owned\\x07\\x1b[31m\\xff"));
  EXPECT_THAT(outcome.err, Not(HasSubstr("\x1b")));
  const TemporaryFolder folder;
  fs::create_directory_symlink(demo(), folder.path("demo\x1b[31m"));
  Running inspect({"inspect", "-m", folder.path("demo\x1b[31m")}, Running::Stdio::kTerminal);
  const Outcome shown = inspect.finish();
  EXPECT_THAT(shown.out, HasSubstr("demo\\x1b[31m"));
  EXPECT_THAT(shown.out, Not(HasSubstr("\x1b[31m")));
  EXPECT_THAT(run_g3n({"inspect", "-m", folder.path("demo\x1b[31m")}).out, HasSubstr("demo\x1b[31m")) << "a pipe";
}

}  // namespace
}  // namespace g3n::testing
