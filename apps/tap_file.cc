// See tap_file.h.
#include "tap_file.h"

#include <algorithm>
#include <fnmatch.h>

namespace g3n::cli {

TapFile::TapFile(const std::string& path, std::vector<std::string> globs, const WriteRules& rules)
    : globs_(std::move(globs)), writer_(path, {}, rules) {
  for (const std::string& glob : globs_) matched_[glob] = false;
}

bool TapFile::wants(const std::string& name) {
  if (globs_.empty()) return true;
  const std::string full = prefix_ + name;
  bool wanted = false;
  for (const std::string& glob : globs_)
    if (::fnmatch(glob.c_str(), full.c_str(), 0) == 0) wanted = matched_[glob] = true;
  return wanted;
}

void TapFile::record(const std::string& name, std::span<const int64_t> dims, const float* data, int token_axis) {
  const std::string full = prefix_ + name;
  const std::vector<int64_t> shape(dims.begin(), dims.end());
  int64_t size = 1;
  for (const int64_t dim : shape) size *= dim;
  const std::span<const float> values(data, static_cast<size_t>(size));
  if (!in_chunks_) return add(full, DType::kF32, shape, std::as_bytes(values));
  const auto [found, is_new] = pieces_.try_emplace(full);
  Pieces& pieces = found->second;
  if (is_new) order_.push_back(full);
  if (is_new || token_axis < 0) {  // -1: of the whole prompt, not of its chunks
    pieces = {shape, std::max(token_axis, 0), {}, {}};
    token_axis = pieces.token_axis;
  } else {
    pieces.dims[static_cast<size_t>(token_axis)] += shape[static_cast<size_t>(token_axis)];
  }
  pieces.counts.push_back(shape[static_cast<size_t>(token_axis)]);
  pieces.data.emplace_back(values.begin(), values.end());
}

std::vector<float> TapFile::Pieces::joined() const {
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

void TapFile::begin_chunks() { in_chunks_ = true; }

void TapFile::end_chunks() {
  in_chunks_ = false;
  for (const std::string& name : order_) {
    const Pieces& pieces = pieces_.at(name);
    const std::vector<float> values = pieces.joined();
    add(name, DType::kF32, pieces.dims, std::as_bytes(std::span(values)));
    pieces_.erase(name);
  }
  order_.clear();
}

void TapFile::add(const std::string& name, DType dtype, const std::vector<int64_t>& dims,
                  std::span<const std::byte> bytes) {
  writer_.add(name, dtype, dims, bytes);
  ++written_;
}

std::vector<std::string> TapFile::unmatched_globs() const {
  std::vector<std::string> globs;
  for (const auto& [glob, matched] : matched_)
    if (!matched) globs.push_back(glob);
  return globs;
}

void TapFile::finish() { writer_.finish(); }

}  // namespace g3n::cli
