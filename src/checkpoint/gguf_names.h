// Tables of a tensor's name in GGUF and in a Hugging Face folder.
#pragma once
#include <cstddef>
#include <string_view>
#include <utility>

namespace g3n {

using NamePair = std::pair<std::string_view, std::string_view>;  // GGUF, Hugging Face

// Empty for a name that is not in the table.
template <size_t N>
std::string_view look_up(const NamePair (&names)[N], std::string_view gguf) {
  for (const auto& [from, to] : names)
    if (from == gguf) return to;
  return {};
}

}  // namespace g3n
