// Lines that a user types or a pipe brings. At a terminal with editing, history and pasted blocks (libedit), elsewhere
// as they are. From its beginning to its end, what is typed while nobody reads waits whole.
#pragma once
#include <memory>
#include <string>

namespace g3n::cli {

struct InputLine {
  enum class Kind { kText, kEnd, kInterrupted };
  Kind kind = Kind::kEnd;
  std::string text;  // without the line break; what was pasted keeps those inside
};

class LineEditor {
 public:
  virtual ~LineEditor() = default;
  // The prompt goes to stderr, so that stdout holds answers only. Ctrl-C at a terminal gives kInterrupted.
  virtual InputLine read(const std::string& prompt) = 0;
};

// The one for this process's stdin.
std::unique_ptr<LineEditor> make_line_editor();

// line_editor_libedit.cc, or line_editor_none.cc (null) in a build without libedit.
std::unique_ptr<LineEditor> make_terminal_editor();

}  // namespace g3n::cli
