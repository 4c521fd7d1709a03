// Line editing and history by libedit. The history lives as long as the program: what was said is not written to disk.
#include <histedit.h>

#include <unistd.h>

#include <clocale>
#include <cstdio>
#include <cwchar>

#include "console.h"
#include "line_editor.h"

namespace g3n::cli {
namespace {

class LibeditEditor : public LineEditor {
 public:
  LibeditEditor() : editor_(el_init("g3n", stdin, stderr, stderr)), history_(history_init()) {
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
  static char* prompt_of(EditLine* editor) {
    void* self = nullptr;
    el_get(editor, EL_CLIENTDATA, &self);
    return static_cast<LibeditEditor*>(self)->prompt_.data();
  }

  // One character of the locale's encoding; 1, 0 at the end, -1 for Ctrl-C. Bytes that make no character are left out.
  static int read_character(EditLine*, wchar_t* character) {
    std::mbstate_t state{};
    for (;;) {
      char byte;
      if (!wait_for_input()) return -1;
      if (::read(STDIN_FILENO, &byte, 1) != 1) return 0;
      const size_t length = std::mbrtowc(character, &byte, 1, &state);
      if (length <= 1) return 1;
      if (length == static_cast<size_t>(-1)) state = {};
    }
  }

  EditLine* editor_;
  History* history_;
  std::string prompt_;
};

}  // namespace

std::unique_ptr<LineEditor> make_terminal_editor() {
  // libedit reads characters as the locale says; without one, take UTF-8 all the same.
  const char* locale = std::setlocale(LC_CTYPE, "");
  if (!locale || std::string(locale) == "C" || std::string(locale) == "POSIX") std::setlocale(LC_CTYPE, "C.UTF-8");
  return std::make_unique<LibeditEditor>();
}

}  // namespace g3n::cli
