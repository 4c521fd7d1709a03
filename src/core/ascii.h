// Letters of ASCII, whatever the locale: names of files, ids and headers, where no other letters change.
#pragma once
#include <string>
#include <string_view>

namespace g3n {

inline std::string ascii_lower(std::string_view given) {
  std::string text(given);
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

}  // namespace g3n
