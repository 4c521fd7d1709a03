// Goldens of the towers at full E2B shape (tests/golden/data/full): per tap its shape, rms and 64 sampled values, from
// a float64 run of transformers. A tap sink that compares and names the first tap that differs.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "core/context.h"

namespace g3n::testing {

class FullTowerGolden : public TapSink {
 public:
  // name: "e2b/vision_768". Throws Error if the manifest or the case is not there.
  explicit FullTowerGolden(const std::string& name);

  bool wants(const std::string& tap) override { return index_.count(tap) != 0; }
  void record(const std::string& tap, std::span<const int64_t> dims, const float* data, int token_axis) override;

  // Of the case's picture, or of its clip.
  int64_t image_size() const { return image_size_; }
  int64_t clip_samples() const { return clip_samples_; }
  int64_t seed() const { return seed_; }

  // Empty when all taps were recorded and agree.
  std::string first_difference() const;
  std::string worst() const;

 private:
  struct Tap {
    std::string name;
    std::vector<int64_t> shape;
    double rms = 0, tolerance = 0;
    std::vector<double> samples;
    bool recorded = false;
    double error = 0;  // largest of the samples' and the rms' errors, relative to the rms
    std::string problem;
  };
  std::vector<Tap> taps_;
  std::map<std::string, size_t> index_;
  int64_t image_size_ = 0, clip_samples_ = 0, seed_ = 0;
};

}  // namespace g3n::testing
