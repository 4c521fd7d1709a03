// See answer_printer.h.
#include "answer_printer.h"

#include "core/printable.h"

namespace g3n::cli {
namespace {

std::string rate_line(const char* name, std::int64_t tokens, double seconds) {
  std::string line = std::string(name) + std::to_string(tokens) + " tokens, " + format_number(seconds, 3) + " s";
  if (tokens > 0 && seconds > 0) line += ", " + format_number(static_cast<double>(tokens) / seconds, 1) + " tok/s";
  return line + "\n";
}

}  // namespace

void AnswerPrinter::on_prefill(std::int64_t done_tokens, std::int64_t total_tokens) {
  if (done_tokens < total_tokens)
    show_status("reading the prompt: " + std::to_string(done_tokens) + " of " + std::to_string(total_tokens) +
                " tokens");
  else
    clear_status();
}

void AnswerPrinter::on_token(std::int32_t) { clear_status(); }

void AnswerPrinter::on_text(std::string_view text) {
  if (!prints_ || failure_) return;
  try {
    write_stdout(text);
    has_printed_ |= !text.empty();
  } catch (const WriteFailed& failed) {
    failure_ = failed;
    scope_.cancel();
  }
}

void AnswerPrinter::finish() {
  clear_status();
  if (failure_) throw *failure_;
  if (has_printed_) write_stdout("\n");
}

void print_stats(const Answer& answer, double load_seconds) {
  const Timings& t = answer.timings;
  std::string text;
  if (load_seconds >= 0) text += "load     " + format_number(load_seconds, 3) + " s\n";
  text += "encode   " + format_number(t.encode_seconds, 3) + " s\n";
  text += rate_line("prefill  ", t.prefilled_tokens, t.prefill_seconds);
  text += rate_line("decode   ", static_cast<std::int64_t>(answer.ids.size()) - 1,
                    t.decode_seconds);  // the first comes out of prefill
  text += "memory   " + format_bytes(peak_memory_bytes()) + " at most\n";
  write_stderr(text);
}

}  // namespace g3n::cli
