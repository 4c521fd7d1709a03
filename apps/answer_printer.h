// Streams an answer to stdout as it comes, and the numbers of --stats to stderr.
#pragma once
#include <optional>

#include "console.h"
#include "g3n/engine.h"

namespace g3n::cli {

class AnswerPrinter : public EventSink {
 public:
  // prints: false for --json, where the answer is written as a whole. A failed write cancels the answer through scope.
  AnswerPrinter(bool prints, InterruptScope& scope) : prints_(prints), scope_(scope) {}

  void on_prefill(std::int64_t done_tokens, std::int64_t total_tokens) override;
  void on_token(std::int32_t id) override;
  void on_text(std::string_view text) override;

  // After the answer, however it ended: clears the status line, ends a printed answer with its newline, throws the
  // WriteFailed of on_text.
  void finish();

 private:
  bool prints_;
  InterruptScope& scope_;
  bool has_printed_ = false;
  std::optional<WriteFailed> failure_;
};

// load_seconds < 0: not shown (turns of a chat).
void print_stats(const Answer& answer, double load_seconds);

}  // namespace g3n::cli
