#include "runtime/tap_recorder.h"

#include <fnmatch.h>

#include <algorithm>

namespace g3n {

TapRecorder::TapRecorder(std::span<const std::string> globs, bool in_pieces, OnTap on_tap)
    : in_pieces_(in_pieces), on_tap_(std::move(on_tap)) {
  for (const std::string& glob : globs) matched_[glob] = false;
}

bool TapRecorder::wants(const std::string& name) {
  if (matched_.empty()) return true;
  const std::string full = prefix_ + name;
  bool wanted = false;
  for (auto& [glob, matched] : matched_)
    if (::fnmatch(glob.c_str(), full.c_str(), 0) == 0) wanted = matched = true;
  return wanted;
}

void TapRecorder::record(const std::string& name, std::span<const int64_t> dims, const float* data, int token_axis) {
  const std::string full = prefix_ + name;
  const std::vector<int64_t> shape(dims.begin(), dims.end());
  int64_t size = 1;
  for (const int64_t dim : shape) size *= dim;
  const std::span<const float> values(data, static_cast<size_t>(size));
  if (!in_pieces_ || !name.starts_with("text.")) return on_tap_(full, shape, values);
  const auto [found, is_new] = pieces_.try_emplace(full);
  Pieces& pieces = found->second;
  if (is_new) order_.push_back(full);
  if (is_new || token_axis < 0) {  // -1: of the whole prompt, not of its pieces
    pieces = {shape, std::max(token_axis, 0), {}, {}};
    token_axis = pieces.token_axis;
  } else {
    pieces.dims[static_cast<size_t>(token_axis)] += shape[static_cast<size_t>(token_axis)];
  }
  pieces.counts.push_back(shape[static_cast<size_t>(token_axis)]);
  pieces.data.emplace_back(values.begin(), values.end());
}

std::vector<float> TapRecorder::Pieces::joined() const {
  int64_t outer = 1, inner = 1;
  for (int axis = 0; axis < static_cast<int>(dims.size()); ++axis)
    (axis < token_axis ? outer : inner) *= axis == token_axis ? 1 : dims[static_cast<size_t>(axis)];
  std::vector<float> all;
  all.reserve(static_cast<size_t>(outer * inner * dims[static_cast<size_t>(token_axis)]));
  for (int64_t o = 0; o < outer; ++o)
    for (size_t i = 0; i < data.size(); ++i) {
      const auto begin = data[i].begin() + o * counts[i] * inner;
      all.insert(all.end(), begin, begin + counts[i] * inner);
    }
  return all;
}

void TapRecorder::finish() {
  for (const std::string& name : order_) {
    const Pieces& pieces = pieces_.at(name);
    on_tap_(name, pieces.dims, pieces.joined());
    pieces_.erase(name);
  }
  order_.clear();
}

std::vector<std::string> TapRecorder::unmatched_globs() const {
  std::vector<std::string> globs;
  for (const auto& [glob, matched] : matched_)
    if (!matched) globs.push_back(glob);
  return globs;
}

}  // namespace g3n
