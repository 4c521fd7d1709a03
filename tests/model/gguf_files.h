// GGUF files for tests: any types, wide enough for super-blocks.
#pragma once
#include <string>

#include "support/errors.h"
#include "support/source_path.h"
#include "tools/gguf_maker.h"

namespace g3n::testing {

// The config.json of the tiny model, 256 wide: rows of whole super-blocks.
inline std::string wide_config(int64_t ple) {
  std::string text = slurp(source_path("tests/golden/data/tiny/config.json"));
  const auto set = [&text](const std::string& key, int64_t from, int64_t to) {
    const std::string old = "\"" + key + "\": " + std::to_string(from) + ",";
    text.replace(text.find(old, text.find("\"text_config\"")), old.size(),
                 "\"" + key + "\": " + std::to_string(to) + ",");
  };
  set("hidden_size", 96, 256);
  set("hidden_size_per_layer_input", 32, ple);
  return text;
}

}  // namespace g3n::testing
