// See line_editor.h: plain lines, and the choice of an editor.
#include "line_editor.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "console.h"
#include "g3n/error.h"
#include "terminal.h"

namespace g3n::cli {
namespace {

// Keys that waited did so as they were typed: what a terminal's line mode makes of them is made here.
void erase_as_typed(std::string& text) {
  std::string kept;
  for (const char c : text) {
    if (c != '\x7f' && c != '\b') {
      kept += c;
      continue;
    }
    while (!kept.empty() && (kept.back() & 0xc0) == 0x80) kept.pop_back();  // the rest of a character of UTF-8
    if (!kept.empty()) kept.pop_back();
  }
  text = kept;
}

// Lines by read(2): a stream and poll would not agree on what has been read.
class PlainLines : public LineEditor {
 public:
  explicit PlainLines(bool interactive) : interactive_(interactive), terminal_(false) { terminal_.keep_keys(); }

  InputLine read(const std::string& prompt) override {
    if (interactive_) write_stderr(prompt);
    terminal_.read_lines();
    const InputLine line = interactive_ ? next_or_interrupted() : next();
    terminal_.keep_keys();
    return line;
  }

 private:
  InputLine next_or_interrupted() {
    InterruptScope scope(InterruptMode::kCancelOnly);
    return next();
  }

  InputLine next() {
    for (;;) {
      if (takes_waiting_end()) return {};
      if (const size_t end = buffer_.find('\n', searched_); end != std::string::npos) return take(end, 1);
      searched_ = buffer_.size();
      if (interactive_ && !wait_for_input()) return {InputLine::Kind::kInterrupted, ""};
      char bytes[1 << 16];
      const ssize_t count = ::read(STDIN_FILENO, bytes, sizeof bytes);
      if (count > 0) {
        buffer_.append(bytes, static_cast<size_t>(count));
      } else if (count == 0) {
        return buffer_.empty() ? InputLine{} : take(buffer_.size(), 0);
      } else if (errno == EAGAIN) {  // somebody made it non-blocking, and its writer is late
        wait_for_stdin();
      } else if (errno != EINTR) {
        throw Error(ErrorCode::kBadFile, std::string("cannot read stdin: ") + std::strerror(errno));
      }
    }
  }

  // Ctrl-D at the beginning of a line, pressed while nobody read: itself, or the zero that the kernel makes of it if
  // that was before the program began.
  bool takes_waiting_end() {
    if (!stdin_is_terminal() || buffer_.empty() || (buffer_[0] != '\x04' && buffer_[0] != '\0')) return false;
    buffer_.erase(0, 1);
    return true;
  }

  InputLine take(size_t length, size_t line_break) {
    InputLine line{InputLine::Kind::kText, buffer_.substr(0, length)};
    buffer_.erase(0, length + line_break);
    searched_ = 0;
    if (!line.text.empty() && line.text.back() == '\r') line.text.pop_back();
    if (stdin_is_terminal()) erase_as_typed(line.text);
    return line;
  }

  bool interactive_;
  TerminalHold terminal_;
  std::string buffer_;
  size_t searched_ = 0;  // bytes at its beginning that hold no line break
};

}  // namespace

std::unique_ptr<LineEditor> make_line_editor() {
  const bool interactive = stdin_is_terminal() && stderr_is_terminal();
  if (interactive)
    if (std::unique_ptr<LineEditor> editor = make_terminal_editor()) return editor;
  return std::make_unique<PlainLines>(interactive);
}

}  // namespace g3n::cli
