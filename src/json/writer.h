// JSON as text. What is not UTF-8 (pieces of byte tokens, names of files) becomes U+FFFD.
#pragma once
#include <string>
#include <string_view>

#include "json/tree.h"

namespace g3n {

// In quotes, escaped.
std::string json_string(std::string_view text);

struct JsonStyle {
  int indent = -1;                                     // spaces per level; -1: all on one line without any
  JsonNonFinite non_finite = JsonNonFinite::kRefused;  // refused: written as null, which every reader takes
};

// Numbers are the shortest that read back as the same; one with a fraction or an exponent stays no integer ("2.0").
std::string to_json(const JsonNode& node, const JsonStyle& style = {});

}  // namespace g3n
