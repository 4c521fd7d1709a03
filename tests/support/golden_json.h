// Manifests of goldens, and numbers as reports show them.
#pragma once
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "g3n/error.h"

namespace g3n::testing {

inline nlohmann::json read_golden_json(const std::string& path) {
  std::ifstream in(path);
  if (!in) throw Error(ErrorCode::kNotFound, path + ": no such golden");
  return nlohmann::json::parse(in);
}

inline std::string short_number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", value);
  return text;
}

}  // namespace g3n::testing
