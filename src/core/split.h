// Lists in one text.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace g3n {

// The pieces between the separators: at least one, and any may be empty.
inline std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> pieces;
  for (;;) {
    const std::size_t end = text.find(separator);
    pieces.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return pieces;
    text.remove_prefix(end + 1);
  }
}

}  // namespace g3n
