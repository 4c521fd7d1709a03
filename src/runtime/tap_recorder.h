// TapRecorder: the taps of a job whose names match one of some globs, handed on whole: pieces of a prompt that comes in
// several steps are joined along their token axis.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/taps.h"

namespace g3n {

class TapRecorder : public TapSink {
 public:
  using OnTap = std::function<void(const std::string& name, const std::vector<int64_t>& dims, std::span<const float>)>;

  // No globs ("*" and "?" stand for characters): all taps. in_pieces: the prompt takes several steps, so that text taps
  // are kept and handed on by finish().
  TapRecorder(std::span<const std::string> globs, bool in_pieces, OnTap on_tap);

  bool wants(const std::string& name) override;
  void record(const std::string& name, std::span<const int64_t> dims, const float* data, int token_axis) override;
  void set_prefix(const std::string& prefix) override { prefix_ = prefix; }
  void finish();

  // Globs that no name matched.
  std::vector<std::string> unmatched_globs() const;

 private:
  struct Pieces {
    std::vector<int64_t> dims;  // of the first; the token axis summed over all
    int token_axis = 0;
    std::vector<int64_t> counts;  // along the token axis
    std::vector<std::vector<float>> data;

    std::vector<float> joined() const;
  };

  std::map<std::string, bool> matched_;  // by glob
  bool in_pieces_;
  OnTap on_tap_;
  std::string prefix_;
  std::vector<std::string> order_;  // of pieces_
  std::map<std::string, Pieces> pieces_;
};

}  // namespace g3n
