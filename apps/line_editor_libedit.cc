// Line editing and history by libedit. The history lives as long as the program: what was said is not written to disk.
#include <histedit.h>

#include <clocale>
#include <cstdio>

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
