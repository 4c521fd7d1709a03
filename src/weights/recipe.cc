#include "weights/recipe.h"

#include <filesystem>
#include <sstream>
#include <string_view>

#include "core/file_kind.h"
#include "g3n/error.h"

namespace g3n {
namespace {

constexpr int64_t kNarrow = 256;  // columns

// Routers and coefficients of AltUp are never quantised: they are small and steer every stream.
constexpr const char* kQ4 = R"(
*.altup.*                                             keep
*embed_tokens.weight@table                            q8
*embed_tokens_per_layer.weight@table                  q8
model.language_model.altup_*                          q8
model.language_model.per_layer_model_projection*      q8
*.laurel.*                                            q8
model.language_model.*                                q4
lm_head.weight                                        q4
model.embed_*@table                                   keep
model.vision_tower.timm_model.conv_stem.*             keep
model.*                                               q8
)";
constexpr const char* kQ8 = R"(
*.altup.*                                             keep
model.embed_*@table                                   keep
model.vision_tower.timm_model.conv_stem.*             keep
*                                                     q8
)";

bool matches(std::string_view pattern, std::string_view text) {
  size_t p = 0, t = 0, star = std::string_view::npos, mark = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*')
      star = p++, mark = t;
    else if (p < pattern.size() && pattern[p] == text[t])
      ++p, ++t;
    else if (star != std::string_view::npos)
      p = star + 1, t = ++mark;
    else
      return false;
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace

Recipe Recipe::parse(const std::string& text, const std::string& where) {
  Recipe recipe;
  std::istringstream lines(text);
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    line = line.substr(0, line.find('#'));
    std::istringstream words(line);
    Line entry;
    std::string more;
    if (!(words >> entry.pattern)) continue;
    const bool complete = static_cast<bool>(words >> entry.format);
    const bool known = entry.format == "keep" || entry.format == "f32" || entry.format == "bf16" ||
                       entry.format == "q8" || entry.format == "q4";
    if (!complete || !known || words >> more)
      throw Error(ErrorCode::kBadFile, where + ", line " + std::to_string(number) +
                                           ": expected `pattern format` with q4, q8, bf16, f32 or keep, found '" +
                                           line + "'");
    recipe.lines_.push_back(entry);
  }
  recipe.name_ = where, recipe.explicit_ = true;
  return recipe;
}

Recipe Recipe::named(const std::string& name) {
  Recipe recipe;
  if (name.empty()) return recipe;
  if (name == "q4" || name == "q8") {
    recipe = parse(name == "q4" ? kQ4 : kQ8, name);
    recipe.eases_small_models_ = name == "q4";
  } else if (name == "keep") {
    recipe.explicit_ = true;
  } else if (std::filesystem::is_regular_file(name)) {
    recipe = parse(read_text_file(name, size_t{1} << 20), name);
  } else {
    throw Error(ErrorCode::kInvalidArgument, "recipe: expected q4, q8, keep or a file, found '" + name + "'");
  }
  return recipe;
}

DType Recipe::format(const std::string& name, DType stored, int64_t cols, bool small_model) const {
  if (is_block_type(stored) || cols < kBlockCols) return stored;
  for (const Line& line : lines_) {
    if (!matches(line.pattern, name)) continue;
    if (line.format == "keep") return stored;
    if (line.format == "f32") return DType::kF32;
    if (line.format == "bf16") return DType::kBF16;
    if (line.format == "q4" && eases_small_models_ && small_model && cols < kNarrow) return DType::kQ8_0;
    return line.format == "q4" ? DType::kQ4_0 : DType::kQ8_0;
  }
  return stored;
}

}  // namespace g3n
