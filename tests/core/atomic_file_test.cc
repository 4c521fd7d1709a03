// AtomicFile: what is there afterwards, whatever was there before and whatever stopped it. fsync, rename and renameat2
// are recorded, to see what a power cut could find.
#include "core/atomic_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>
#include <thread>

#include "g3n/error.h"

namespace {
std::mutex calls_mutex;
std::vector<std::string> calls;  // "fsync file", "fsync folder", "rename"
void record(const char* call) {
  const std::lock_guard lock(calls_mutex);
  calls.push_back(call);
}
}  // namespace

// In place of the C library's: recorded, then done.
extern "C" int fsync(int fd) {
  struct stat info {};
  ::fstat(fd, &info);
  record(S_ISDIR(info.st_mode) ? "fsync folder" : "fsync file");
  return static_cast<int>(::syscall(SYS_fsync, fd));
}
extern "C" int rename(const char* from, const char* to) noexcept {
  record("rename");
  return static_cast<int>(::syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
}
extern "C" int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) noexcept {
  record("rename");
  return static_cast<int>(::syscall(SYS_renameat2, from_folder, from, to_folder, to, flags));
}

namespace g3n {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class AtomicFileTest : public ::testing::Test {
 protected:
  AtomicFileTest() {
    std::string pattern = (fs::temp_directory_path() / "g3n-atomic-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~AtomicFileTest() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string put(const std::string& name, const std::string& text) const {
    std::ofstream(path(name), std::ios::binary) << text;
    return path(name);
  }
  static std::string get(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& entry : fs::directory_iterator(folder_)) all.push_back(entry.path().filename().string());
    std::sort(all.begin(), all.end());
    return all;
  }
  template <typename F>
  static std::string refusal(ErrorCode code, F&& f) {
    try {
      f();
    } catch (const Error& error) {
      EXPECT_STREQ(error_code_name(error.code()), error_code_name(code)) << error.what();
      return error.what();
    }
    ADD_FAILURE() << "expected an error";
    return "";
  }

  fs::path folder_;
};

TEST_F(AtomicFileTest, TwoWritersOfOnePathDoNotMeet) {
  AtomicFile first(path("out")), second(path("out"));
  first.write(0, std::string("first"));
  second.write(0, std::string("second!"));
  second.finish();
  EXPECT_EQ(get(path("out")), "second!");
  first.finish();
  EXPECT_EQ(get(path("out")), "first");
  EXPECT_THAT(names(), ElementsAre("out"));
}

TEST_F(AtomicFileTest, ManyThreadsWriteOnePath) {
  std::atomic<int> failures{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) try {
          write_file_atomically(path("out"), std::string(1000, static_cast<char>('a' + t)));
        } catch (const Error&) {
          ++failures;
        }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
  const std::string text = get(path("out"));
  EXPECT_EQ(text, std::string(1000, text.at(0)));
  EXPECT_THAT(names(), ElementsAre("out"));
}

TEST_F(AtomicFileTest, ThePlantedTemporaryFileOfAnotherIsNotUsed) {
  put("victim", "precious");
  fs::create_symlink(path("victim"), path("out.tmp-" + std::to_string(::getpid())));
  write_file_atomically(path("out"), "new");
  EXPECT_EQ(get(path("victim")), "precious");
}

// Content, then name, then folder: whatever the power cut finds is the old file or the whole new one.
TEST_F(AtomicFileTest, TheOrderThatSurvivesAPowerCut) {
  for (const bool replace : {true, false}) {
    AtomicFile file(path(replace ? "a" : "b"), {.replace = replace});
    file.write(0, std::string("text"));
    calls.clear();
    file.finish();
    EXPECT_THAT(calls, ElementsAre("fsync file", "rename", "fsync folder"));
  }
}

TEST_F(AtomicFileTest, WithoutFinishNothingIsLeft) {
  put("out", "before");
  { AtomicFile(path("out")).write(0, std::string("half")); }
  EXPECT_EQ(get(path("out")), "before");
  EXPECT_THAT(names(), ElementsAre("out"));
}

TEST_F(AtomicFileTest, ALinkStaysAndItsFileIsReplaced) {
  fs::create_directory(path("deep"));
  put("deep/real", "before");
  fs::create_symlink("deep/real", path("relative"));
  fs::create_symlink(path("relative"), path("absolute"));
  write_file_atomically(path("absolute"), "after");
  EXPECT_TRUE(fs::is_symlink(path("absolute")));
  EXPECT_TRUE(fs::is_symlink(path("relative")));
  EXPECT_EQ(get(path("deep/real")), "after");
  fs::create_symlink("deep/made", path("to nothing yet"));
  write_file_atomically(path("to nothing yet"), "made");
  EXPECT_EQ(get(path("deep/made")), "made");
  fs::create_symlink("round", path("round"));
  EXPECT_THAT(refusal(ErrorCode::kInvalidArgument, [&] { AtomicFile file(path("round")); }), HasSubstr(path("round")));
}

TEST_F(AtomicFileTest, PermissionsAreKeptAndNewOnesFollowTheUmask) {
  put("private", "x");
  fs::permissions(path("private"), fs::perms(0604));
  const mode_t before = ::umask(0027);
  write_file_atomically(path("private"), "y");
  write_file_atomically(path("new"), "z");
  ::umask(before);
  EXPECT_EQ(fs::status(path("private")).permissions(), fs::perms(0604));
  EXPECT_EQ(fs::status(path("new")).permissions(), fs::perms(0640));
}

TEST_F(AtomicFileTest, WhatIsNoFileIsNeverReplaced) {
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  fs::create_directory(path("folder"));
  fs::create_symlink("/dev/null", path("device"));
  const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path("socket").copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  for (const auto& [name, words] : std::vector<std::pair<std::string, std::string>>{
           {"pipe", "a pipe"}, {"folder", "a folder"}, {"device", "a device"}, {"socket", "a socket"}}) {
    SCOPED_TRACE(name);
    EXPECT_THAT(refusal(ErrorCode::kInvalidArgument, [&] { AtomicFile file(path(name)); }), HasSubstr(words));
    EXPECT_THAT(refusal(ErrorCode::kInvalidArgument, [&] { check_target(path(name)); }), HasSubstr(words));
  }
  ::close(socket);
  EXPECT_TRUE(fs::is_fifo(path("pipe")));
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  EXPECT_THAT(names(), ElementsAre("device", "folder", "pipe", "socket"));
  EXPECT_THAT(refusal(ErrorCode::kNotFound, [&] { AtomicFile file(path("no/out")); }), HasSubstr("no such folder"));
}

// Links of /proc lead to what is open, by a name that may be none.
TEST_F(AtomicFileTest, WhatIsOpenIsSeenThroughProc) {
  const auto of = [](int fd) { return "/proc/self/fd/" + std::to_string(fd); };
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  const int gone = ::open(put("gone", "").c_str(), O_RDWR | O_CLOEXEC);
  fs::remove(path("gone"));
  fs::create_symlink(of(pipe[1]), path("link"));
  for (const std::string& target : {of(pipe[1]), path("link")})
    EXPECT_THAT(refusal(ErrorCode::kInvalidArgument, [&] { AtomicFile file(target); }),
                HasSubstr(target + ": cannot write: it is not a regular file but a pipe"));
  EXPECT_THAT(refusal(ErrorCode::kInvalidArgument, [&] { check_target(of(gone)); }), HasSubstr("no name leads to"));
  for (const int fd : {pipe[0], pipe[1], gone}) ::close(fd);
  EXPECT_THAT(names(), ElementsAre("link"));
}

// A file that is replaced under standard output takes nothing of what is printed afterwards.
TEST_F(AtomicFileTest, TheFileOfStandardOutputIsNotReplaced) {
  for (const int stream : {STDOUT_FILENO, STDERR_FILENO}) {
    const int before = ::dup(stream), file = ::open(path("log").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ::dup2(file, stream);
    std::string by_name, by_link;
    try {
      check_target(path("log"));
    } catch (const Error& error) {
      by_name = error.what();
    }
    try {
      AtomicFile linked("/proc/self/fd/" + std::to_string(stream));
    } catch (const Error& error) {
      by_link = error.what();
    }
    ::dup2(before, stream);
    ::close(before);
    ::close(file);
    for (const std::string& words : {by_name, by_link})
      EXPECT_THAT(words, HasSubstr(stream == STDOUT_FILENO ? "standard output goes into" : "standard error goes into"));
  }
  EXPECT_THAT(names(), ElementsAre("log"));
}

TEST_F(AtomicFileTest, WhatAppearsMeanwhileIsChecked) {
  AtomicFile file(path("out"), {.replace = false});
  file.write(0, std::string("mine"));
  put("out", "theirs");
  EXPECT_THAT(refusal(ErrorCode::kInvalidArgument, [&] { file.finish(); }), HasSubstr("already there"));
  EXPECT_EQ(get(path("out")), "theirs");
  AtomicFile other(path("pipe"));
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  EXPECT_THAT(refusal(ErrorCode::kInvalidArgument, [&] { other.finish(); }), HasSubstr("a pipe"));
  EXPECT_THAT(names(), ElementsAre("out", "pipe"));
  EXPECT_THAT(refusal(ErrorCode::kInvalidArgument, [&] { check_target(path("out"), {.replace = false}); }),
              HasSubstr("already there"));
}

TEST_F(AtomicFileTest, SourcesAreNotReplacedUnderAnyName) {
  fs::create_directory(path("model"));
  put("model/config.json", "{}");
  put("blob", "weights");
  fs::create_symlink(path("blob"), path("model/weights"));  // as in a hub cache
  fs::create_symlink(path("model/config.json"), path("link"));
  fs::create_hard_link(path("model/config.json"), path("hard"));
  fs::create_directory_symlink(path("model"), path("folder link"));
  put("other", "");
  for (const WriteRules& rules :
       {WriteRules{.sources = {path("model")}}, WriteRules{.sources = {path("other"), path("hard"), path("blob")}}})
    for (const char* name : {"model/config.json", "link", "hard", "folder link/config.json", "blob", "model/weights"}) {
      SCOPED_TRACE(name);
      EXPECT_THAT(refusal(ErrorCode::kInvalidArgument, [&] { check_target(path(name), rules); }),
                  HasSubstr("a file of the model that is being read"));
      EXPECT_THAT(refusal(ErrorCode::kInvalidArgument, [&] { AtomicFile file(path(name), rules); }),
                  HasSubstr(path(name)));
    }
  const WriteRules rules{.sources = {path("model"), path("not there")}};
  write_file_atomically(path("model/new"), "a new file beside them", rules);
  write_file_atomically(path("other"), "a file elsewhere", rules);
}

TEST_F(AtomicFileTest, LongNamesAndOtherWorkingFolders) {
  const std::string name(250, 'n');
  write_file_atomically(path(name), "x");
  EXPECT_THAT(names(), ElementsAre(name));
  const fs::path before = fs::current_path();
  fs::current_path(folder_);
  AtomicFile file("relative");
  fs::current_path(before);
  file.finish();
  EXPECT_TRUE(fs::exists(path("relative")));
}

TEST_F(AtomicFileTest, AFileSizeLimitIsAnError) {
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{1000, before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &small);
  const std::string written =
      refusal(ErrorCode::kBadFile, [&] { write_file_atomically(path("a"), std::string(2000, 'x')); });
  const std::string resized = refusal(ErrorCode::kBadFile, [&] { AtomicFile(path("b")).resize(2000); });
  ::setrlimit(RLIMIT_FSIZE, &before);
  ::signal(SIGXFSZ, handler);
  EXPECT_THAT(written, HasSubstr("a: cannot write: File too large"));
  EXPECT_THAT(resized, HasSubstr("b: cannot write: File too large"));
  EXPECT_THAT(names(), IsEmpty());
}

TEST_F(AtomicFileTest, AFullDiskIsAnError) {
  if (::mount("none", folder_.c_str(), "tmpfs", 0, "size=64k") != 0) GTEST_SKIP() << "only root may mount a small disk";
  put("out", "before");
  const std::string full =
      refusal(ErrorCode::kBadFile, [&] { write_file_atomically(path("out"), std::string(1 << 20, 'x')); });
  const std::vector<std::string> left = names();
  const std::string text = get(path("out"));
  ::umount2(folder_.c_str(), MNT_DETACH);
  EXPECT_THAT(full, HasSubstr("No space left on device"));
  EXPECT_THAT(left, ElementsAre("out"));
  EXPECT_EQ(text, "before");
}

TEST_F(AtomicFileTest, ASignalHandlerRemovesWhatIsUnfinished) {
  AtomicFile a(path("a")), b(path("b")), done(path("done"));
  done.finish();
  EXPECT_EQ(names().size(), 3u);
  const pid_t child = ::fork();  // it has the parent's table, and must not act on it
  if (child == 0) {
    remove_unfinished_files();
    ::_exit(0);
  }
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(names().size(), 3u);
  remove_unfinished_files();
  EXPECT_THAT(names(), ElementsAre("done"));
  EXPECT_THAT(refusal(ErrorCode::kBadFile, [&] { a.finish(); }), HasSubstr("a: cannot write"));
}

// More unfinished files than the table holds are files like others.
TEST_F(AtomicFileTest, ManyAtATime) {
  std::vector<std::unique_ptr<AtomicFile>> files;
  for (int i = 0; i < 100; ++i) files.push_back(std::make_unique<AtomicFile>(path(std::to_string(i))));
  for (const auto& file : files) file->finish();
  EXPECT_EQ(names().size(), 100u);
}

}  // namespace
}  // namespace g3n
