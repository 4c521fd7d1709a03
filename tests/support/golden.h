// Goldens: values that Hugging Face transformers computed, read from a manifest and its .safetensors, and a tap sink
// that compares. A sink names the FIRST tap, in the order of the computation, that differs. Tolerances:
// fixtures/README.md.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/context.h"
#include "formats/tensor_source.h"

namespace g3n::testing {

struct GoldenTap {
  std::string name;  // as in the manifest: "image.0.vision.soft_tokens"
  std::vector<int64_t> shape;
  int64_t stride = 1;                     // stored are the flat indices 0, stride, 2 * stride, ...
  double rms = 0;                         // of the whole tap
  double tolerance = 0;                   // on rms(got - want) / rms(want)
  std::optional<double> hf_bf16_rel_rms;  // distance of transformers' own bf16 run
};

struct GoldenImage {
  int64_t size = 0;  // inputs.image(size, seed)
  int64_t seed = 0;
  uint32_t crc32 = 0;
};
struct GoldenClip {
  int64_t samples = 0;  // inputs.chirps(samples, seed)
  int64_t seed = 0;
  uint32_t crc32 = 0;
  int64_t frames = 0, valid_frames = 0;  // 0 unless the case was a padded batch
};

// One case of a manifest. Throws Error if the manifest or the case is not there.
class GoldenCase {
 public:
  // manifest: its path; the case's file lies beside it.
  static GoldenCase load(const std::string& manifest, const std::string& name);
  // Cases of a manifest, in its order.
  static std::vector<std::string> names(const std::string& manifest);
  // tests/golden/data/manifest.json and tests/golden/data/demo/manifest.json.
  static std::string tiny_manifest();
  static std::string demo_manifest();

  const std::string& name() const { return name_; }
  const std::vector<GoldenTap>& taps() const { return taps_; }
  const GoldenTap* tap(const std::string& name) const;
  const std::vector<int64_t>& ids() const { return ids_; }  // of the prompt; empty if the case has none
  const std::vector<std::vector<int64_t>>& sequences() const { return sequences_; }  // of a batch
  const std::vector<GoldenImage>& images() const { return images_; }
  const std::vector<GoldenClip>& clips() const { return clips_; }
  const std::string& conversation() const { return conversation_; }  // demo cases
  // Stored values of any tensor of the case.
  bool has(const std::string& tensor) const { return source_->find(tensor) != nullptr; }
  std::vector<float> floats(const std::string& tensor) const;
  std::vector<int64_t> integers(const std::string& tensor) const;

 private:
  std::string name_, conversation_;
  std::vector<GoldenTap> taps_;
  std::vector<int64_t> ids_;
  std::vector<std::vector<int64_t>> sequences_;
  std::vector<GoldenImage> images_;
  std::vector<GoldenClip> clips_;
  std::shared_ptr<const TensorSource> source_;
};

// Which taps a sink demands and how near they must be.
struct GoldenOptions {
  std::string prefix{};  // put before the names that the model records: "image.0.", "clip.1.", "sequence.2."
  std::string only{};    // demand only taps whose manifest name starts so: "vision.", "image.0."
  bool bf16 = false;     // demand a distance below hf_bf16_rel_rms (taps without one are not compared)
};

// Collects the taps of a run (chunks are joined along their token axis) and compares them.
class GoldenSink : public TapSink {
 public:
  explicit GoldenSink(const GoldenCase& golden, GoldenOptions options = {})
      : golden_(golden), options_(std::move(options)) {}

  bool wants(const std::string& name) override;
  void record(const std::string& name, std::span<const int64_t> dims, const float* data, int token_axis) override;
  // For runs that record several images or clips one after the other.
  void set_prefix(const std::string& prefix) override { options_.prefix = prefix; }

  // Empty when every demanded tap is there and near enough; else the first one that is not, with its numbers.
  std::string first_difference() const;
  // One line: the tap with the largest error in units of its tolerance.
  std::string worst() const;
  // One line per compared tap: relative error and bound.
  std::string table() const;

 private:
  struct Recorded {
    std::vector<int64_t> dims;
    std::vector<float> data;
  };
  struct Outcome {
    std::string problem;  // shape, missing or values; empty if fine
    double error = 0, bound = 0;
  };
  bool demanded(const GoldenTap& tap) const;
  Outcome compare(const GoldenTap& tap) const;

  const GoldenCase& golden_;
  GoldenOptions options_;
  std::map<std::string, Recorded> recorded_;
};

// rms(got - want) / rms(want); infinite when a value is not finite or the sizes differ.
double relative_rms(const std::vector<float>& got, const std::vector<float>& want);

}  // namespace g3n::testing
