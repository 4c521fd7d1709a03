// Line editing and history by libedit. The history lives as long as the program: what was said is not written to disk.
// A pasted block is one piece of the line, line breaks and all, where the terminal marks it (bracketed paste).
#include <histedit.h>

#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cwchar>
#include <string_view>

#include "console.h"
#include "core/utf8.h"
#include "line_editor.h"
#include "terminal.h"

namespace g3n::cli {
namespace {

constexpr std::string_view kPasteEnd = "\033[201~";

bool terminal_marks_pastes() {
  const char* name = std::getenv("TERM");
  return name && *name && std::string_view(name) != "dumb";
}

// What a paste puts into the line: line breaks as \n, none at its end, and nothing that the editor would take for keys.
std::string pasted_text(std::string_view bytes) {
  std::string text;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] == '\r') {
      if (i + 1 == bytes.size() || bytes[i + 1] != '\n') text += '\n';
    } else if (bytes[i] == '\n' || bytes[i] == '\t' ||
               (static_cast<unsigned char>(bytes[i]) >= ' ' && bytes[i] != '\x7f')) {
      text += bytes[i];
    }
  }
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return utf8_repaired(text);
}

class LibeditEditor : public LineEditor {
 public:
  LibeditEditor()
      : terminal_(terminal_marks_pastes()), editor_(el_init("g3n", stdin, stderr, stderr)), history_(history_init()) {
    HistEvent event;
    history(history_, &event, H_SETSIZE, 1000);
    el_set(editor_, EL_CLIENTDATA, this);
    el_set(editor_, EL_PROMPT, &LibeditEditor::prompt_of);
    el_set(editor_, EL_EDITOR, "emacs");
    el_set(editor_, EL_SIGNAL, 0);  // Ctrl-C is ours
    el_set(editor_, EL_GETCFN, &LibeditEditor::read_character);
    el_set(editor_, EL_HIST, history, history_);
    el_set(editor_, EL_BIND, "^R", "em-inc-search-prev", nullptr);
    el_set(editor_, EL_BIND, "\\e[1;5D", "ed-prev-word", nullptr);
    el_set(editor_, EL_BIND, "\\e[1;5C", "em-next-word", nullptr);
    el_set(editor_, EL_BIND, "\\e[3~", "ed-delete-next-char", nullptr);
    // The wide form keeps the texts that it is given; the other one copies them and never frees the copies.
    el_wset(editor_, EL_ADDFN, L"paste", L"a pasted block", &LibeditEditor::paste);
    el_set(editor_, EL_BIND, "\\e[200~", "paste", nullptr);
    el_set(editor_, EL_SETTY, "-x", "-icanon", "-echo", nullptr);  // between two lines: TerminalHold::keep_keys
  }
  ~LibeditEditor() override {
    history_end(history_);
    el_end(editor_);
  }

  InputLine read(const std::string& prompt) override {
    prompt_ = prompt;
    InterruptScope scope(InterruptMode::kCancelOnly);
    int length = 0;
    const char* text = el_gets(editor_, &length);
    if (scope.interrupted()) {
      el_reset(editor_);
      waiting_.clear();
      taken_ = 0;
      write_stderr("\n");
      return {InputLine::Kind::kInterrupted, ""};
    }
    if (!text || length <= 0) {
      write_stderr("\n");
      return {};
    }
    InputLine line{InputLine::Kind::kText, std::string(text, static_cast<size_t>(length))};
    if (line.text.find_first_not_of(" \t\n") != std::string::npos) {
      HistEvent event;
      history(history_, &event, H_ENTER, text);
    }
    while (!line.text.empty() && (line.text.back() == '\n' || line.text.back() == '\r')) line.text.pop_back();
    return line;
  }

 private:
  static char* prompt_of(EditLine* editor) { return self_of(editor).prompt_.data(); }

  static LibeditEditor& self_of(EditLine* editor) {
    void* self = nullptr;
    el_get(editor, EL_CLIENTDATA, &self);
    return *static_cast<LibeditEditor*>(self);
  }

  // The next byte of the terminal; -1 for Ctrl-C, -2 at the end.
  int next_byte() {
    if (taken_ == waiting_.size()) {
      char bytes[4096];
      ssize_t count = -1;
      do {
        if (!wait_for_input()) return -1;
        count = ::read(STDIN_FILENO, bytes, sizeof bytes);
      } while (count < 0 && (errno == EINTR || errno == EAGAIN));
      if (count <= 0) return -2;
      waiting_.assign(bytes, static_cast<size_t>(count));
      taken_ = 0;
    }
    return static_cast<unsigned char>(waiting_[taken_++]);
  }

  // One character of the locale's encoding; 1, 0 at the end, -1 for Ctrl-C. Bytes that make no character are left out.
  static int read_character(EditLine* editor, wchar_t* character) {
    LibeditEditor& self = self_of(editor);
    std::mbstate_t state{};
    for (;;) {
      const int next = self.next_byte();
      if (next < 0) return next == -1 ? -1 : 0;
      const char byte = static_cast<char>(next);
      const size_t length = std::mbrtowc(character, &byte, 1, &state);
      if (length <= 1) return 1;
      if (length == static_cast<size_t>(-1)) state = {};
    }
  }

  // Behind \e[200~.
  static unsigned char paste(EditLine* editor, wint_t) {
    LibeditEditor& self = self_of(editor);
    std::string bytes;
    while (!bytes.ends_with(kPasteEnd)) {
      const int next = self.next_byte();
      if (next < 0) return CC_REFRESH;
      bytes += static_cast<char>(next);
    }
    bytes.resize(bytes.size() - kPasteEnd.size());
    if (const std::string text = pasted_text(bytes); !text.empty()) el_insertstr(editor, text.c_str());
    return CC_REFRESH;
  }

  TerminalHold terminal_;  // before the editor, which changes the terminal
  EditLine* editor_;
  History* history_;
  std::string prompt_;
  std::string waiting_;  // bytes that were read
  size_t taken_ = 0;     // of them
};

}  // namespace

std::unique_ptr<LineEditor> make_terminal_editor() {
  // libedit reads characters as the locale says; without one, take UTF-8 all the same.
  const char* locale = std::setlocale(LC_CTYPE, "");
  if (!locale || std::string(locale) == "C" || std::string(locale) == "POSIX") std::setlocale(LC_CTYPE, "C.UTF-8");
  return std::make_unique<LibeditEditor>();
}

}  // namespace g3n::cli
