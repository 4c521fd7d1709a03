// The audio tower in double precision, as transformers writes it: padded frames are computed and masked, attention runs
// in chunks with the relative shift. Slow and plain; shares nothing with src/audio but the config. Weights by name, in
// the file's order.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "audio/audio_config.h"

namespace g3n::testing {

struct Tensor {
  std::vector<int64_t> shape;
  std::vector<float> values;
};
using TensorMap = std::map<std::string, Tensor>;

struct Matrix {
  int64_t rows = 0, cols = 0;
  std::vector<double> values;
  Matrix() = default;
  Matrix(int64_t r, int64_t c) : rows(r), cols(c), values(static_cast<size_t>(r * c)) {}
  double& at(int64_t r, int64_t c) { return values[static_cast<size_t>(r * cols + c)]; }
  double at(int64_t r, int64_t c) const { return values[static_cast<size_t>(r * cols + c)]; }
};

// The rules that random weights hide, and what a wrong reading of them would be.
struct ReferenceOptions {
  int64_t chunk = 12;
  bool variance_against_latest_mean = false;  // wrong: sum of (x - mean_T)^2
  bool cap_logits = true;                     // false is wrong
};

struct ReferenceOutput {
  Matrix encoded;      // [tokens, hidden]
  Matrix soft_tokens;  // [soft_tokens, text_hidden]
};
ReferenceOutput reference_tower(const AudioConfig& config, const TensorMap& weights, const Matrix& log_mel,
                                const std::vector<uint8_t>& valid, const ReferenceOptions& options);

}  // namespace g3n::testing
