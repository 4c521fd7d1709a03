// VisionTower: a picture in, soft tokens out. MobileNetV5-300m, its fusion adapter and the embedder (spec: vision.md).
// HF: timm MobileNetV5Encoder, Gemma3nModel.get_image_features.
#pragma once
#include <array>
#include <vector>

#include "embedder/multimodal_embedder.h"
#include "vision/fusion_adapter.h"
#include "vision/mobilenet_blocks.h"
#include "vision/vision_config.h"

namespace g3n {

class VisionTower {
 public:
  explicit VisionTower(const VisionConfig& config) : config_(config) {}

  // Names every tensor; the structure comes from the binder's file if it has one.
  void bind(Binder& binder);

  // The picture may have any size; const, one call per Context. Taps vision.*.
  void forward(Context& ctx, View<const float, 3> pixels,  // [h, w, 3] in [0, 1]
               View<float, 2> soft_tokens) const;          // [soft tokens, text hidden]
  // Of id vocab_offset + row: row 0 is <end_of_image>.
  void hard_embedding(Context& ctx, int64_t row, View<float, 2> out) const {
    embedder_.hard(ctx, row, out);
  }  // [1, text hidden]

  const VisionConfig& config() const { return config_; }
  int64_t soft_tokens() const { return config_.soft_tokens_per_image; }
  // The defective first upload of Gemma 3n: its vision weights are wrong (spec: vision.md trap 13). Worth a warning.
  bool stem_bias_missing() const { return stem_bias_missing_; }

 private:
  void stem(Context& ctx, View<const float, 3> pixels, Map out) const;
  void features(Context& ctx, View<const float, 3> pixels, View<float, 2> out) const;

  VisionConfig config_;
  bool stem_bias_missing_ = false;
  WeightView conv_stem_;                 // [stem, 3*3*3]
  View<const float, 1> conv_stem_bias_;  // [stem] or null
  View<const float, 1> conv_stem_bn_;    // [stem]
  std::array<std::vector<MobileNetBlock>, kStages> stages_;
  FusionAdapter msfa_;
  MultimodalEmbedder embedder_;
};

}  // namespace g3n
