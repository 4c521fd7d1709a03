// The process's surroundings: stdout with every write checked, one-line messages on stderr, a status line that only a
// terminal sees, piped stdin, Ctrl-C, peak memory.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace g3n::cli {

enum ExitStatus { kExitDone = 0, kExitFailed = 1, kExitUsage = 2, kExitInterrupted = 130 };

// stdout could not be written. A closed pipe is no news to anybody, everything else is reported.
class WriteFailed : public std::runtime_error {
 public:
  explicit WriteFailed(int error);
  bool is_closed_pipe() const;

 private:
  int error_;
};

// Writes all of it now: whole characters of UTF-8. Throws WriteFailed.
void write_stdout(std::string_view text);

// Nothing that comes from a file reaches a terminal as it is: see core/printable.h. Pipes and files get what stdout is
// given byte for byte.

// One line on stderr, behind "g3n: "; line breaks inside become spaces. Clears the status line first.
void report(const std::string& message);
void warn(const std::string& message);
// Lines of text on stderr.
void write_stderr(std::string_view text);

bool stdin_is_terminal();
bool stderr_is_terminal();

// A line on a terminal's stderr that is rewritten in place; nothing elsewhere. Colors are never used (NO_COLOR asks for
// no more).
void show_status(const std::string& text);
void clear_status();
// For callbacks: tells the percentage whenever it changes.
std::function<void(std::int64_t done, std::int64_t total)> on_percent(std::function<void(std::int64_t percent)> tell);
// Shows it as "what N %".
std::function<void(std::int64_t done, std::int64_t total)> percent_status(const std::string& what);

// Waits until stdin can be read or has ended, or for a signal.
void wait_for_stdin();
// All of stdin, byte for byte. Throws Error{kBadFile}.
std::string read_stdin();
// What a pipe or a file brings on stdin; nothing from a terminal or device. While a pipe stays silent, says so on
// stderr.
std::string read_piped_stdin();

// Peak resident memory of this process; 0 if unknown.
std::int64_t peak_memory_bytes();
// "12.3": digits behind the point.
std::string format_number(double value, int digits);

// What Ctrl-C does. Outside any scope it ends the process with 130.
enum class InterruptMode {
  kCancelThenExit,  // sets the flag; a second one ends the process
  kCancelOnly,      // sets the flag
};
class InterruptScope {
 public:
  explicit InterruptScope(InterruptMode mode);
  ~InterruptScope();
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;

  const std::atomic<bool>* flag() const;
  bool interrupted() const { return flag()->load(); }
  void cancel();  // as if Ctrl-C had been pressed
};

// Waits until stdin can be read (true) or Ctrl-C is pressed (false), also just before the call. Only inside an
// InterruptScope.
bool wait_for_input();

// Ctrl-C as above; closed pipes and limits of file sizes as errors of write; zeros in place of a mapped file's lost
// pages (core/mapped_file.h). Whatever signal ends the process, no unfinished file is left.
void install_signal_handlers();

}  // namespace g3n::cli
