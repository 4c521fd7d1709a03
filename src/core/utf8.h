// UTF-8: one scalar at a time, with Unicode's rule for broken text (one U+FFFD per maximal subpart, as browsers and
// Python have it).
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace g3n {

struct Utf8Step {
  enum Kind {
    kScalar,      // a whole character
    kBroken,      // bytes that begin no character: a maximal subpart
    kIncomplete,  // the text ends inside a character that has been right so far
  };
  Kind kind;
  char32_t scalar;   // of kScalar, else U+FFFD
  std::size_t size;  // bytes taken, at least 1
};

// The first character of text, which must not be empty.
Utf8Step utf8_step(std::string_view text);

// The offset of the first byte that is not UTF-8, or text.size().
std::size_t utf8_valid_prefix(std::string_view text);

// text with U+FFFD in place of every maximal broken subpart.
std::string utf8_repaired(std::string_view text);

// Throws kInvalidArgument, naming the byte and its offset; `what` begins the message ("prompt").
void expect_utf8(std::string_view text, std::string_view what);

// Without white space at both ends, as Python's str.strip (and Jinja's trim) has it. text must be UTF-8.
std::string_view trim_white_space(std::string_view text);

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";

}  // namespace g3n
