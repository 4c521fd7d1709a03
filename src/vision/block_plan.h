// BlockPlan: the structure of the MobileNetV5 tower, block by block. The tensors tell it where a file is there; else
// the table of mobilenetv5_300m (spec: vision.md 3) at the widths that timm computes from model_args. HF: timm,
// models/mobilenetv5.py.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "vision/vision_config.h"
#include "weights/binder.h"

namespace g3n {

enum class BlockType : uint8_t { kEdgeResidual, kInvertedResidual, kAttention };

struct BlockPlan {
  BlockType type = BlockType::kInvertedResidual;
  int64_t in = 0, mid = 0, out = 0;  // channels; mid: of the expansion, or heads*head_dim of the queries
  int64_t stride = 1;
  int64_t kernel = 0;                // kEdgeResidual: conv_exp; kAttention: down_conv of K and V, 0 none
  int64_t dw_start = 0, dw_mid = 0;  // kInvertedResidual: kernel sizes, 0 none
  int64_t head_dim = 0;              // kAttention
  bool layer_scale = false;

  bool skip() const { return in == out && stride == 1; }
};

inline constexpr int kStages = 4;

struct TowerPlan {
  int64_t stem = 0;  // channels
  std::array<std::vector<BlockPlan>, kStages> stages;
  int64_t fusion_mid = 0;  // channels inside the fusion adapter
};

// binder: names relative to the tower ("conv_stem.conv.weight").
TowerPlan plan_tower(const Binder& binder, const VisionConfig& config);

// timm's rule for widths: the nearest multiple of 8, not more than a tenth below.
int64_t make_divisible(double channels);

}  // namespace g3n
