// TapSink: receives named intermediate values of a forward pass, as transformers computes them under the same name.
#pragma once
#include <cstdint>
#include <span>
#include <string>

namespace g3n {

// Asked by name before anything is computed or copied for it.
class TapSink {
 public:
  virtual ~TapSink() = default;
  virtual bool wants(const std::string& name) = 0;
  // dims outermost first, data contiguous row-major. token_axis: the axis that grows when a prompt comes in chunks;
  // -1: none, the last chunk's value counts.
  virtual void record(const std::string& name, std::span<const int64_t> dims, const float* data, int token_axis) = 0;
  // What comes before the names from now on: "image.1.", "clip.0." while one of several media is encoded, else nothing.
  virtual void set_prefix(const std::string& prefix) {}
};

}  // namespace g3n
