// See line_editor.h: plain lines, and the choice of an editor.
#include "line_editor.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "console.h"
#include "g3n/error.h"

namespace g3n::cli {
namespace {

// Lines by read(2): a stream and poll would not agree on what has been read.
class PlainLines : public LineEditor {
 public:
  explicit PlainLines(bool interactive) : interactive_(interactive) {}

  InputLine read(const std::string& prompt) override {
    if (!interactive_) return next();
    write_stderr(prompt);
    InterruptScope scope(InterruptMode::kCancelOnly);
    return next();
  }

 private:
  InputLine next() {
    for (;;) {
      if (const size_t end = buffer_.find('\n'); end != std::string::npos) return take(end, 1);
      if (interactive_ && !wait_for_input()) return {InputLine::Kind::kInterrupted, ""};
      char bytes[4096];
      const ssize_t count = ::read(STDIN_FILENO, bytes, sizeof bytes);
      if (count > 0) {
        buffer_.append(bytes, static_cast<size_t>(count));
      } else if (count == 0) {
        return buffer_.empty() ? InputLine{} : take(buffer_.size(), 0);
      } else if (errno != EINTR) {
        throw Error(ErrorCode::kBadFile, std::string("cannot read stdin: ") + std::strerror(errno));
      }
    }
  }

  InputLine take(size_t length, size_t line_break) {
    InputLine line{InputLine::Kind::kText, buffer_.substr(0, length)};
    buffer_.erase(0, length + line_break);
    if (!line.text.empty() && line.text.back() == '\r') line.text.pop_back();
    return line;
  }

  bool interactive_;
  std::string buffer_;
};

}  // namespace

std::unique_ptr<LineEditor> make_line_editor() {
  const bool interactive = stdin_is_terminal() && stderr_is_terminal();
  if (interactive)
    if (std::unique_ptr<LineEditor> editor = make_terminal_editor()) return editor;
  return std::make_unique<PlainLines>(interactive);
}

}  // namespace g3n::cli
