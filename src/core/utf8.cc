// UTF-8 scanning by the table of well-formed byte sequences (Unicode 3.9, table 3-7).
#include "core/utf8.h"

#include <cstdio>

#include "g3n/error.h"

namespace g3n {
namespace {

struct Lead {
  std::size_t size;                       // of the whole character; 0: no character begins so
  unsigned char second_low, second_high;  // what the second byte may be
};

Lead lead_of(unsigned char byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte < 0xC2) return {0, 0, 0};
  if (byte < 0xE0) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte < 0xF0) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte < 0xF4) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

bool is_white_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

}  // namespace

Utf8Step utf8_step(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const Lead lead = lead_of(byte(0));
  if (lead.size == 0) return {Utf8Step::kBroken, 0xFFFD, 1};
  if (lead.size == 1) return {Utf8Step::kScalar, byte(0), 1};
  char32_t scalar = byte(0) & (0x7F >> lead.size);
  for (std::size_t i = 1; i < lead.size; ++i) {
    if (i == text.size()) return {Utf8Step::kIncomplete, 0xFFFD, i};
    const unsigned char low = i == 1 ? lead.second_low : 0x80, high = i == 1 ? lead.second_high : 0xBF;
    if (byte(i) < low || byte(i) > high) return {Utf8Step::kBroken, 0xFFFD, i};
    scalar = scalar << 6 | (byte(i) & 0x3F);
  }
  return {Utf8Step::kScalar, scalar, lead.size};
}

std::size_t utf8_valid_prefix(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const Utf8Step step = utf8_step(text.substr(at));
    if (step.kind != Utf8Step::kScalar) return at;
    at += step.size;
  }
  return at;
}

std::string utf8_repaired(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Step step = utf8_step(text.substr(at));
    out += step.kind == Utf8Step::kScalar ? text.substr(at, step.size) : kReplacementCharacter;
    at += step.size;
  }
  return out;
}

void expect_utf8(std::string_view text, std::string_view what) {
  const std::size_t at = utf8_valid_prefix(text);
  if (at == text.size()) return;
  char byte[8];
  std::snprintf(byte, sizeof byte, "0x%02X", static_cast<unsigned char>(text[at]));
  throw Error(ErrorCode::kInvalidArgument,
              std::string(what) + ": expected UTF-8, found byte " + byte + " at offset " + std::to_string(at));
}

std::string_view trim_white_space(std::string_view text) {
  std::size_t begin = 0, end = 0;
  bool inside = false;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Step step = utf8_step(text.substr(at));
    if (!is_white_space(step.scalar)) {
      if (!inside) begin = at;
      inside = true;
      end = at + step.size;
    }
    at += step.size;
  }
  return text.substr(begin, end - begin);
}

}  // namespace g3n
