#include "core/printable.h"

#include "core/utf8.h"

namespace g3n {

std::string printable(std::string_view text, size_t most) {
  std::string out;
  while (!text.empty()) {
    const Utf8Step step = utf8_step(text);
    const bool is_control = step.scalar < 0x20 || (step.scalar >= 0x7f && step.scalar < 0xa0);
    const std::string_view shown = step.kind != Utf8Step::kScalar ? kReplacementCharacter
                                   : is_control                   ? "?"
                                                                  : text.substr(0, step.size);
    if (out.size() + shown.size() > most) return out + "...";
    out += shown;
    text.remove_prefix(step.size);
  }
  return out;
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string out = "[";
  for (size_t i = 0; i < shape.size(); ++i) out += (i ? ", " : "") + std::to_string(shape[i]);
  return out + "]";
}

}  // namespace g3n
