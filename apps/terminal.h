// The terminal under a chat: while nobody reads it, what is typed waits whole and unseen. In line mode the kernel keeps
// 4,095 bytes of a line and drops the rest without a word.
#pragma once

namespace g3n::cli {

// How stdin's terminal is to be between two lines. Whatever ends or stops the process, the terminal is as it was before
// the first of these. Nothing where stdin is no terminal; one at a time.
class TerminalHold {
 public:
  // Remembers how the terminal is; marks_pastes: asks it to put \e[200~ and \e[201~ around what is pasted.
  explicit TerminalHold(bool marks_pastes);
  ~TerminalHold();
  TerminalHold(const TerminalHold&) = delete;
  TerminalHold& operator=(const TerminalHold&) = delete;

  void keep_keys();   // no lines, no echo: for who does not read now
  void read_lines();  // as it was
};

// For signal handlers: the terminal as it was before the hold.
void restore_terminal();

}  // namespace g3n::cli
