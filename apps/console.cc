// See console.h. Everything that a signal handler touches is a lock-free atomic or a plain array.
#include "console.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/atomic_file.h"
#include "core/mapped_file.h"
#include "core/printable.h"
#include "g3n/error.h"
#include "terminal.h"

namespace g3n::cli {
namespace {

enum Mode : int { kExitNow, kCancelThenExit, kCancelOnly };
std::atomic<int> interrupt_mode{kExitNow};
std::atomic<bool> interrupted_flag{false};
std::atomic<bool> status_shown{false};
// A byte per Ctrl-C: what poll can wait for without a gap between looking and waiting.
int interrupt_pipe[2] = {-1, -1};
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

constexpr std::string_view kClearLine = "\r\033[K";

// Returns 0 or an errno.
int write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<size_t>(written));
    } else if (errno == EAGAIN) {  // somebody else's non-blocking terminal or pipe
      pollfd wait{fd, POLLOUT, 0};
      ::poll(&wait, 1, -1);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

void leave_nothing_behind() {
  remove_unfinished_files();
  restore_terminal();
  if (status_shown.load()) write_all(STDERR_FILENO, kClearLine);
}

extern "C" void on_interrupt(int) {
  const int saved = errno;
  const int mode = interrupt_mode.load();
  if (mode == kExitNow || (mode == kCancelThenExit && interrupted_flag.load())) {
    leave_nothing_behind();
    ::_exit(kExitInterrupted);
  }
  interrupted_flag.store(true);
  if (::write(interrupt_pipe[1], "", 1) < 0) {
  }  // full: the reader has enough to wake up for
  errno = saved;
}

// The default action, which comes when the handler returns (SA_RESETHAND), tells the parent what ended this process.
extern "C" void on_deadly_signal(int signal) {
  leave_nothing_behind();
  ::raise(signal);
}

extern "C" void on_bus_error(int, siginfo_t* info, void*) {
  if (info->si_code > 0 && replace_lost_page(info->si_addr)) return;  // touched again, it reads zeros
  leave_nothing_behind();
  ::signal(SIGBUS, SIG_DFL);
  ::raise(SIGBUS);
}

// Waits until stdin has something to say, and tells the user whom we are waiting for.
void wait_for_prompt() {
  pollfd wait{STDIN_FILENO, POLLIN, 0};
  if (::poll(&wait, 1, 3000) != 0) return;
  write_stderr("g3n: waiting for the pipe on stdin (</dev/null if it is not part of the prompt)\n");
  wait_for_stdin();
}

// A process may be started without its standard streams. Their numbers are then taken by streams that fail, before
// another file gets them.
void occupy_standard_streams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
      ::_exit(kExitFailed);
}

}  // namespace

WriteFailed::WriteFailed(int error)
    : std::runtime_error(std::string("cannot write to stdout: ") + std::strerror(error)), error_(error) {}
bool WriteFailed::is_closed_pipe() const { return error_ == EPIPE; }

void write_stdout(std::string_view text) {
  static const bool is_terminal = ::isatty(STDOUT_FILENO) == 1;
  if (const int error =
          is_terminal ? write_all(STDOUT_FILENO, printable(text, LineBreaks::kKept)) : write_all(STDOUT_FILENO, text))
    throw WriteFailed(error);
}

void write_stderr(std::string_view text) {
  clear_status();
  write_all(STDERR_FILENO, printable(text, LineBreaks::kKept));  // nobody is left to be told
}

void report(const std::string& message) { write_stderr("g3n: " + printable(message) + "\n"); }
void warn(const std::string& message) { report("warning: " + message); }

bool stdin_is_terminal() { return ::isatty(STDIN_FILENO) == 1; }
bool stderr_is_terminal() { return ::isatty(STDERR_FILENO) == 1; }

void show_status(const std::string& text) {
  if (!stderr_is_terminal()) return;
  status_shown = true;
  write_all(STDERR_FILENO, std::string(kClearLine) + printable(text));
}

std::function<void(std::int64_t, std::int64_t)> on_percent(std::function<void(std::int64_t)> tell) {
  return [tell = std::move(tell), told = std::int64_t{-1}](std::int64_t done, std::int64_t total) mutable {
    const std::int64_t percent = total > 0 ? 100 * done / total : 100;
    if (percent != told) tell(percent);
    told = percent;
  };
}

std::function<void(std::int64_t, std::int64_t)> percent_status(const std::string& what) {
  return on_percent([what](std::int64_t percent) { show_status(what + " " + std::to_string(percent) + " %"); });
}

void clear_status() {
  if (status_shown.exchange(false)) write_all(STDERR_FILENO, kClearLine);
}

void wait_for_stdin() {
  pollfd wait{STDIN_FILENO, POLLIN, 0};
  ::poll(&wait, 1, -1);
}

std::string read_stdin() {
  std::string all;
  char buffer[1 << 16];
  for (;;) {
    const ssize_t count = ::read(STDIN_FILENO, buffer, sizeof buffer);
    if (count == 0) return all;
    if (count > 0)
      all.append(buffer, static_cast<size_t>(count));
    else if (errno == EAGAIN)
      wait_for_prompt();
    else if (errno != EINTR)
      throw Error(ErrorCode::kBadFile, std::string("cannot read stdin: ") + std::strerror(errno));
  }
}

std::string read_piped_stdin() {
  struct stat info;
  if (::fstat(STDIN_FILENO, &info) != 0) return "";
  if (S_ISFIFO(info.st_mode))
    wait_for_prompt();
  else if (!S_ISREG(info.st_mode))
    return "";
  return read_stdin();
}

std::int64_t peak_memory_bytes() {
  std::FILE* status = std::fopen("/proc/self/status", "re");
  if (!status) return 0;
  char line[256];
  long long kilobytes = 0;
  while (std::fgets(line, sizeof line, status))
    if (std::sscanf(line, "VmHWM: %lld kB", &kilobytes) == 1) break;
  std::fclose(status);
  return kilobytes * 1024;
}

std::string format_number(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

InterruptScope::InterruptScope(InterruptMode mode) {
  char byte;
  while (::read(interrupt_pipe[0], &byte, 1) > 0) {
  }
  interrupted_flag = false;
  interrupt_mode = mode == InterruptMode::kCancelOnly ? kCancelOnly : kCancelThenExit;
}
InterruptScope::~InterruptScope() { interrupt_mode = kExitNow; }
const std::atomic<bool>* InterruptScope::flag() const { return &interrupted_flag; }
void InterruptScope::cancel() { interrupted_flag = true; }

bool wait_for_input() {
  pollfd waits[2] = {{STDIN_FILENO, POLLIN, 0}, {interrupt_pipe[0], POLLIN, 0}};
  while (::poll(waits, 2, -1) < 0 && errno == EINTR) {
  }
  return waits[1].revents == 0;
}

void install_signal_handlers() {
  occupy_standard_streams();
  if (::pipe2(interrupt_pipe, O_CLOEXEC | O_NONBLOCK) != 0)
    throw Error(ErrorCode::kInternal, std::string("cannot make a pipe: ") + std::strerror(errno));
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  sigemptyset(&action.sa_mask);
  ::sigaction(SIGINT, &action, nullptr);
  for (const int signal : {SIGTERM, SIGHUP, SIGQUIT, SIGXCPU, SIGALRM, SIGVTALRM, SIGUSR1, SIGUSR2, SIGABRT}) {
    struct sigaction before {};
    ::sigaction(signal, nullptr, &before);
    if (before.sa_handler == SIG_IGN) continue;  // nohup
    action.sa_handler = on_deadly_signal;
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    ::sigaction(signal, &action, nullptr);
  }
  action = {};
  sigemptyset(&action.sa_mask);
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGBUS, &action, nullptr);
  for (const int signal : {SIGPIPE, SIGXFSZ}) ::signal(signal, SIG_IGN);
}

}  // namespace g3n::cli
