// Goldens of the text model at the real E2B and E4B shapes (data/full): per step and layer what the last position of a
// float64 run of transformers was. FullTextSink keeps the last row of each tap; FullTextCase compares and names the
// first layer that differs.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/context.h"

namespace g3n::testing {

// The last token's values of every tap that a FullTextCase looks at, and for stream 0 the rms of every position.
class FullTextSink : public TapSink {
 public:
  bool wants(const std::string& name) override;
  void record(const std::string& name, std::span<const int64_t> dims, const float* data, int token_axis) override;

  struct Last {
    std::vector<std::vector<float>> streams;  // per stream (one if the tap has none) the last token's row
    std::vector<double> position_rms;         // of stream 0, of all chunks
  };
  const Last* find(const std::string& name) const;
  void clear() { last_.clear(); }

 private:
  std::map<std::string, Last> last_;
};

struct FullMedium {  // soft tokens of one encoder
  std::vector<int64_t> shape;
  double rms = 0;
  std::vector<double> samples;  // at flat indices (k * 2654435761) % size
  double tolerance = 0;
};

class FullTextCase {
 public:
  // size: "e2b" or "e4b"; name: "text_12", "text_600", "mixed". Throws Error if the golden is not there.
  FullTextCase(const std::string& size, const std::string& name);

  const std::vector<int32_t>& ids() const { return ids_; }
  const std::vector<int32_t>& greedy_ids() const { return greedy_ids_; }
  int64_t steps() const { return static_cast<int64_t>(steps_.size()); }
  bool has_media() const { return !media_.empty(); }
  const FullMedium& medium(const std::string& tap) const {
    return media_.at(tap);
  }  // "vision.soft_tokens", "audio.soft_tokens"

  // Compares what `sink` heard in one step, and its logits [vocab]. positions: compare every position of the prompt as
  // well. per_layer_inputs: demand that tap. Returns "" or the first difference, with numbers; remembers the worst
  // distance.
  std::string compare(int64_t step, const FullTextSink& sink, const std::vector<float>& logits, bool positions,
                      bool per_layer_inputs);
  // Same for soft tokens.
  std::string compare_medium(const std::string& tap, const std::vector<float>& values);

  // The largest distance so far in units of its bound, and where it was.
  std::string worst() const;

 private:
  struct Layer {
    std::string tap;
    std::vector<double> rms, stream0, per_layer_input;
  };
  struct Step {
    std::vector<Layer> layers;
    std::vector<double> norm;
    double logits_rms = 0;
    std::vector<int64_t> top_ids;
    std::vector<double> top_logits;
  };
  // "" if error is within bound; what: for the message.
  std::string check(double error, double bound, const std::string& what);
  std::string compare_layers(const Step& step, const FullTextSink& sink, const std::string& where,
                             bool per_layer_inputs);
  std::string compare_positions(const FullTextSink& sink);
  std::string compare_logits(const Step& step, const std::vector<float>& logits, const std::string& where);

  std::vector<int32_t> ids_, greedy_ids_;
  std::vector<Step> steps_;
  std::map<std::string, std::vector<double>> position_rms_;
  std::map<std::string, FullMedium> media_;
  std::vector<double> layer_rms_tolerance_, layer_stream0_tolerance_;
  double per_layer_input_tolerance_ = 0, norm_tolerance_ = 0, logits_tolerance_ = 0;
  double worst_ = 0;
  std::string worst_where_;
};

}  // namespace g3n::testing
