// See program.h.
#include "apps/program.h"
#include "support/source_path.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace g3n::testing {
namespace {

constexpr int kPatienceMs = 60'000;

using Pipe = std::array<int, 2>;

Pipe make_pipe() {
  Pipe ends;
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe2 failed");
  return ends;
}

[[noreturn]] void execute(const std::string& program, const Arguments& arguments) {
  std::vector<char*> argv{const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  ::execv(program.c_str(), argv.data());
  ::_exit(127);
}

pid_t spawn(const std::string& program, const Arguments& arguments, int in, int out, int err) {
  const pid_t pid = ::fork();
  if (pid < 0) throw std::runtime_error("fork failed");
  if (pid > 0) return pid;
  ::dup2(in, STDIN_FILENO);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(err, STDERR_FILENO);
  ::signal(SIGPIPE, SIG_DFL);
  execute(program, arguments);
}

int wait_for(pid_t pid) {
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// Feeds stdin and drains stdout and stderr side by side, so that no full pipe stops the child.
void exchange(int in, const std::string& input, int out, int err, Outcome& outcome) {
  size_t sent = 0;
  ::fcntl(in, F_SETFL, O_NONBLOCK);
  if (input.empty()) ::close(in), in = -1;
  while (out >= 0 || err >= 0) {
    pollfd waits[3] = {{out, POLLIN, 0}, {err, POLLIN, 0}, {in, POLLOUT, 0}};
    if (::poll(waits, 3, kPatienceMs) <= 0) break;
    const auto drain = [](const pollfd& wait, int& fd, std::string& text) {
      if (!wait.revents) return;
      char buffer[4096];
      const ssize_t count = ::read(fd, buffer, sizeof buffer);
      if (count > 0)
        text.append(buffer, static_cast<size_t>(count));
      else
        ::close(fd), fd = -1;
    };
    drain(waits[0], out, outcome.out);
    drain(waits[1], err, outcome.err);
    if (!waits[2].revents) continue;
    const ssize_t count = ::write(in, input.data() + sent, input.size() - sent);
    if (count > 0) sent += static_cast<size_t>(count);
    if (count <= 0 || sent == input.size()) ::close(in), in = -1;
  }
  if (in >= 0) ::close(in);
}

// SIGPIPE would end the test program when a child leaves its input unread.
const bool kIgnoresClosedPipes = (::signal(SIGPIPE, SIG_IGN), true);

}  // namespace

Outcome run_program(const std::string& path, const Arguments& arguments, const std::string& input) {
  const Pipe in = make_pipe(), out = make_pipe(), err = make_pipe();
  const pid_t pid = spawn(path, arguments, in[0], out[1], err[1]);
  for (const int fd : {in[0], out[1], err[1]}) ::close(fd);
  Outcome outcome;
  exchange(in[1], input, out[0], err[0], outcome);
  outcome.status = wait_for(pid);
  return outcome;
}

Outcome run_g3n(const Arguments& arguments, const std::string& input) {
  return run_program(G3N_PROGRAM, arguments, input);
}

Outcome run_g3n_into(const std::string& stdout_path, const Arguments& arguments) {
  const int out = ::open(stdout_path.c_str(), O_WRONLY | O_CLOEXEC), in = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  const Pipe err = make_pipe(), unused = make_pipe();
  const pid_t pid = spawn(G3N_PROGRAM, arguments, in, out, err[1]);
  for (const int fd : {in, out, err[1], unused[0]}) ::close(fd);
  Outcome outcome;
  exchange(unused[1], "", -1, err[0], outcome);
  outcome.status = wait_for(pid);
  return outcome;
}

Outcome run_g3n_into_closed_pipe(const Arguments& arguments) {
  const Pipe out = make_pipe(), err = make_pipe(), in = make_pipe();
  ::close(out[0]);
  const pid_t pid = spawn(G3N_PROGRAM, arguments, in[0], out[1], err[1]);
  for (const int fd : {in[0], out[1], err[1]}) ::close(fd);
  Outcome outcome;
  exchange(in[1], "", -1, err[0], outcome);
  outcome.status = wait_for(pid);
  return outcome;
}

Running::Running(const Arguments& arguments, Stdio stdio)
    : is_terminal_(stdio == Stdio::kTerminal || stdio == Stdio::kTerminalWithoutStderr) {
  if (is_terminal_) {
    pid_ = ::forkpty(&in_, nullptr, nullptr, nullptr);
    if (pid_ < 0) throw std::runtime_error("forkpty failed");
    if (pid_ == 0) {
      ::setenv("TERM", "xterm", 1);
      if (stdio == Stdio::kTerminalWithoutStderr) ::dup2(::open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
      execute(G3N_PROGRAM, arguments);
    }
    out_ = in_;
    return;
  }
  const Pipe in = make_pipe(), out = make_pipe(), err = make_pipe();
  if (stdio == Stdio::kNonBlockingPipes) ::fcntl(in[0], F_SETFL, O_NONBLOCK);
  pid_ = spawn(G3N_PROGRAM, arguments, in[0], out[1], err[1]);
  for (const int fd : {in[0], out[1], err[1]}) ::close(fd);
  in_ = in[1], out_ = out[0], err_ = err[0];
}

Running::~Running() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    wait_for(pid_);
  }
  if (in_ >= 0) ::close(in_);
  if (out_ >= 0 && !is_terminal_) ::close(out_);
  if (err_ >= 0) ::close(err_);
}

void Running::write(const std::string& text) {
  for (size_t sent = 0; sent < text.size();) {
    if (is_terminal_) {  // the child echoes while we write: whoever only writes stops both
      pollfd wait{in_, POLLIN | POLLOUT, 0};
      if (::poll(&wait, 1, kPatienceMs) <= 0) return;
      if ((wait.revents & POLLIN) && !read_some()) return;
      if (!(wait.revents & POLLOUT)) continue;
    }
    const size_t most = is_terminal_ ? 256 : text.size();
    const ssize_t count = ::write(in_, text.data() + sent, std::min(most, text.size() - sent));
    if (count <= 0) return;
    sent += static_cast<size_t>(count);
  }
}

bool Running::read_some() {
  char buffer[4096];
  const ssize_t count = ::read(out_, buffer, sizeof buffer);
  if (count > 0) outcome_.out.append(buffer, static_cast<size_t>(count));
  return count > 0;
}

void Running::close_stdin() {
  if (in_ >= 0 && !is_terminal_) ::close(in_);
  in_ = -1;
}

bool Running::read_until(const std::string& text) {
  while (outcome_.out.find(text) == std::string::npos) {
    pollfd wait{out_, POLLIN, 0};
    if (::poll(&wait, 1, kPatienceMs) <= 0 || !read_some()) return false;
  }
  outcome_.out.erase(0, outcome_.out.find(text) + text.size());
  return true;
}

bool Running::terminal_has_lines() const {
  termios mode;
  return ::tcgetattr(in_, &mode) == 0 && (mode.c_lflag & ICANON);
}

void Running::interrupt() { send(SIGINT); }
void Running::send(int signal) { ::kill(pid_, signal); }

Outcome Running::finish() {
  close_stdin();
  if (is_terminal_) {
    read_until("\x01 nothing writes this");
    ::close(out_);
  } else {
    exchange(::open("/dev/null", O_WRONLY | O_CLOEXEC), "", out_, err_, outcome_);
  }
  out_ = err_ = -1;
  outcome_.status = wait_for(pid_);
  pid_ = -1;
  return outcome_;
}

TemporaryFolder::TemporaryFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "g3n_apps_XXXXXX").string();
  if (!::mkdtemp(pattern.data())) throw std::runtime_error("mkdtemp failed");
  folder_ = pattern;
}
TemporaryFolder::~TemporaryFolder() { std::filesystem::remove_all(folder_); }

std::vector<std::string> TemporaryFolder::names() const {
  std::vector<std::string> all;
  for (const auto& entry : std::filesystem::directory_iterator(folder_))
    all.push_back(entry.path().filename().string());
  return all;
}

void write_text(const std::string& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string demo() { return source_path("models/demo"); }
std::string demo_media(const std::string& name) { return demo() + "/media/" + name; }

}  // namespace g3n::testing
