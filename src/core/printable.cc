#include "core/printable.h"

#include <cstdio>

#include "core/utf8.h"

namespace g3n {
namespace {

bool is_obeyed(char32_t c) {
  return c < 0x20 || (c >= 0x7f && c < 0xa0) ||                         // C0, DEL, C1
         (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);  // embeddings, overrides, isolates of direction
}

void append_escape(std::string& out, const char* format, char32_t value) {
  char text[16];
  std::snprintf(text, sizeof text, format, static_cast<unsigned>(value));
  out += text;
}

// Bytes of the character that text begins with, or of what stands where one should.
size_t first_size(std::string_view text) {
  const Utf8Step step = utf8_step(text);
  return step.kind == Utf8Step::kScalar ? step.size : 1;
}

}  // namespace

std::string printable(std::string_view text, LineBreaks breaks) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Utf8Step step = utf8_step(text);
    if (step.kind != Utf8Step::kScalar)
      for (const char c : text.substr(0, step.size)) append_escape(out, "\\x%02x", static_cast<unsigned char>(c));
    else if (step.scalar == '\n' || step.scalar == '\r' || step.scalar == '\t')
      out += breaks == LineBreaks::kSpaces ? ' ' : text[0];
    else if (is_obeyed(step.scalar))
      append_escape(out, step.scalar < 0x100 ? "\\x%02x" : "\\u%04x", step.scalar);
    else
      out += text.substr(0, step.size);
    text.remove_prefix(step.size);
  }
  return out;
}

std::string printable_start(std::string_view text, size_t most_bytes) {
  if (text.size() <= most_bytes) return printable(text);
  size_t end = 0;
  while (end < most_bytes) {
    const size_t bytes = first_size(text.substr(end));
    if (end + bytes > most_bytes) break;
    end += bytes;
  }
  return printable(text.substr(0, end)) + "...";
}

std::string format_bytes(int64_t bytes) {
  const char* const units[] = {"bytes", "KB", "MB", "GB", "TB"};
  double value = static_cast<double>(bytes);
  int unit = 0;
  for (; value >= 999.95 && unit < 4; ++unit) value /= 1000;
  char text[32];
  std::snprintf(text, sizeof text, "%.*f %s", unit == 0 ? 0 : 1, value, units[unit]);
  return text;
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string out = "[";
  for (size_t i = 0; i < shape.size(); ++i) out += (i ? ", " : "") + std::to_string(shape[i]);
  return out + "]";
}

}  // namespace g3n
