// Pieces of messages: names from files, shapes.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace g3n {

// A name or text that comes from outside, for a message of one line: control characters become '?', what is not UTF-8
// U+FFFD; behind `most` bytes stands "...".
std::string printable(std::string_view text, size_t most = 120);

// "[2, 3]"
std::string shape_text(const std::vector<int64_t>& shape);

}  // namespace g3n
