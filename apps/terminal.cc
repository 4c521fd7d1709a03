// See terminal.h. What handlers touch is written before they are installed.
#include "terminal.h"

#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <string_view>

namespace g3n::cli {
namespace {

constexpr std::string_view kMarkPastes = "\033[?2004h", kDoNotMarkPastes = "\033[?2004l";

termios before;
std::atomic<bool> is_held{false}, marks_pastes_now{false};

void write_mark(std::string_view text) {
  if (::write(STDERR_FILENO, text.data(), text.size()) < 0) {
  }  // nobody is left to be told
}

// Ctrl-Z: the shell gets its terminal back as it was, and we ours when we go on.
extern "C" void on_stop(int signal) {
  const int saved = errno;
  termios ours;
  const bool known = ::tcgetattr(STDIN_FILENO, &ours) == 0;
  const bool marks = marks_pastes_now;
  restore_terminal();
  struct sigaction standard {
  }, own;
  standard.sa_handler = SIG_DFL;
  sigemptyset(&standard.sa_mask);
  ::sigaction(signal, &standard, &own);
  ::raise(signal);
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, signal);
  ::sigprocmask(SIG_UNBLOCK, &stop, nullptr);  // here it stops, and goes on
  ::sigprocmask(SIG_BLOCK, &stop, nullptr);
  ::sigaction(signal, &own, nullptr);
  if (known) ::tcsetattr(STDIN_FILENO, TCSADRAIN, &ours);
  if (marks) write_mark(kMarkPastes);
  errno = saved;
}

}  // namespace

void restore_terminal() {
  if (!is_held) return;
  ::tcsetattr(STDIN_FILENO, TCSANOW, &before);
  if (marks_pastes_now) write_mark(kDoNotMarkPastes);
}

TerminalHold::TerminalHold(bool marks_pastes) {
  if (::isatty(STDIN_FILENO) != 1 || ::tcgetattr(STDIN_FILENO, &before) != 0) return;
  is_held = true;
  struct sigaction action {};
  action.sa_handler = on_stop;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGTSTP, &action, nullptr);
  marks_pastes_now = marks_pastes;
  if (marks_pastes) write_mark(kMarkPastes);
}

TerminalHold::~TerminalHold() {
  if (!is_held) return;
  restore_terminal();
  is_held = false;
  ::signal(SIGTSTP, SIG_DFL);
}

void TerminalHold::keep_keys() {
  if (!is_held) return;
  termios quiet = before;
  quiet.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
  quiet.c_cc[VMIN] = 1;
  quiet.c_cc[VTIME] = 0;
  ::tcsetattr(STDIN_FILENO, TCSANOW, &quiet);
}

void TerminalHold::read_lines() {
  if (is_held) ::tcsetattr(STDIN_FILENO, TCSANOW, &before);
}

}  // namespace g3n::cli
