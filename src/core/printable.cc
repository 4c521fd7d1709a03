#include "core/printable.h"

#include <cstdio>

namespace g3n {
namespace {

struct Character {
  char32_t scalar;
  size_t bytes;  // 0: no UTF-8 begins here
};

// The first character of text, which must not be empty: shortest forms only, no surrogates, up to U+10FFFF.
Character first_character(std::string_view text) {
  const auto byte = [&text](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < bytes) return {0, 0};
  char32_t scalar = lead & (0x7fu >> bytes);
  for (size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {0, 0};
    scalar = scalar << 6 | (byte(i) & 0x3fu);
  }
  constexpr char32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (scalar < kSmallest[bytes] || scalar > 0x10ffff || (scalar >= 0xd800 && scalar < 0xe000)) return {0, 0};
  return {scalar, bytes};
}

bool is_obeyed(char32_t c) {
  return c < 0x20 || (c >= 0x7f && c < 0xa0) ||                         // C0, DEL, C1
         (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);  // embeddings, overrides, isolates of direction
}

void append_escape(std::string& out, const char* format, char32_t value) {
  char text[16];
  std::snprintf(text, sizeof text, format, static_cast<unsigned>(value));
  out += text;
}

}  // namespace

std::string printable(std::string_view text, LineBreaks breaks) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Character c = first_character(text);
    if (c.bytes == 0)
      append_escape(out, "\\x%02x", static_cast<unsigned char>(text[0]));
    else if (c.scalar == '\n' || c.scalar == '\r' || c.scalar == '\t')
      out += breaks == LineBreaks::kSpaces ? ' ' : text[0];
    else if (is_obeyed(c.scalar))
      append_escape(out, c.scalar < 0x100 ? "\\x%02x" : "\\u%04x", c.scalar);
    else
      out += text.substr(0, c.bytes);
    text.remove_prefix(c.bytes ? c.bytes : 1);
  }
  return out;
}

std::string printable_start(std::string_view text, size_t most_bytes) {
  if (text.size() <= most_bytes) return printable(text);
  size_t end = 0;
  while (end < most_bytes) {
    const Character c = first_character(text.substr(end));
    const size_t bytes = c.bytes ? c.bytes : 1;
    if (end + bytes > most_bytes) break;
    end += bytes;
  }
  return printable(text.substr(0, end)) + "...";
}

}  // namespace g3n
