// Pieces of messages. Text from files, users and the system on its way into a message or onto a terminal is UTF-8
// without anything that a terminal obeys.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace g3n {

enum class LineBreaks {
  kKept,    // and tabs
  kSpaces,  // line breaks and tabs become spaces: one line
};

// Control characters (C0, DEL, C1, and those that turn the direction of writing) and bytes that are no UTF-8 become
// \x1b, \u202e and the like; everything else stays.
std::string printable(std::string_view text, LineBreaks breaks = LineBreaks::kSpaces);

// The same in one line, of at most so many bytes of text; what was left out is "...". Never cuts inside a character.
std::string printable_start(std::string_view text, size_t most_bytes = 120);

// "10.9 GB", "312.0 MB", "1.5 KB": units of 1000.
std::string format_bytes(int64_t bytes);

// "[2, 3]"
std::string shape_text(const std::vector<int64_t>& shape);

}  // namespace g3n
