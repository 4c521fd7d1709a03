// The three blocks of MobileNetV5 (spec: vision.md 2). HF: timm EdgeResidual, UniversalInvertedResidual,
// MobileAttention. Each works in strips of rows, so that no expanded map is ever whole. x and out must not overlap.
#pragma once
#include <variant>

#include "vision/block_plan.h"
#include "vision/map.h"

namespace g3n {

inline constexpr float kTowerEps = 1e-6f;  // timm's RmsNorm2d; the config's rms_norm_eps is the embedder's

// y = rms_norm(conv_pwl * gelu(rms_norm(conv_exp * x)))          conv_exp: full convolution
class EdgeResidual {
 public:
  void bind(Binder& binder, const BlockPlan& plan);
  void forward(Context& ctx, const Map& x, Map out) const;

 private:
  BlockPlan plan_;
  WeightView conv_exp_;         // [mid, in*kernel*kernel]
  WeightView conv_pwl_;         // [out, mid]
  View<const float, 1> bn1_;    // [mid]
  View<const float, 1> bn2_;    // [out]
  View<const float, 1> gamma_;  // [out] or null
};

// y = gamma * rms_norm(pw_proj * e),  e = gelu(rms_norm(dw_mid * gelu(rms_norm(pw_exp * rms_norm(dw_start * x)))))
// dw_start and dw_mid are depthwise and may be absent; the stride sits in dw_mid.
class InvertedResidual {
 public:
  void bind(Binder& binder, const BlockPlan& plan);
  void forward(Context& ctx, const Map& x, Map out) const;

 private:
  void expand(Context& ctx, const Map& x, RowRange rows, View<float, 2> out) const;
  void project(Context& ctx, View<const float, 2> mid, View<const float, 2> skip, View<float, 2> out) const;

  BlockPlan plan_;
  View<const float, 2> dw_start_;  // [kernel*kernel, in] or null
  View<const float, 1> dw_start_bn_;
  WeightView pw_exp_;  // [mid, in]
  View<const float, 1> pw_exp_bn_;
  View<const float, 2> dw_mid_;  // [kernel*kernel, mid] or null
  View<const float, 1> dw_mid_bn_;
  WeightView pw_proj_;  // [out, mid]
  View<const float, 1> pw_proj_bn_;
  View<const float, 1> gamma_;  // [out]
};

// y = gamma * output.proj * softmax(q K / sqrt(head_dim)) V + x, one K and V head for all queries, every query sees the
// whole map. K and V may come from a map halved by a depthwise convolution each.
class MobileAttention {
 public:
  void bind(Binder& binder, const BlockPlan& plan);
  void forward(Context& ctx, const Map& x, Map out) const;

 private:
  struct Side {                      // of K or of V
    View<const float, 2> down_conv;  // [kernel*kernel, channels] or null
    View<const float, 1> norm;       // [channels] or null
    WeightView proj;                 // [head_dim, channels]
  };
  void bind_side(Binder& binder, const std::string& name, Side& side) const;
  View<float, 2> side(Context& ctx, const Map& normed, const Side& side) const;  // [keys, head_dim]

  BlockPlan plan_;
  View<const float, 1> norm_;  // [channels]
  WeightView query_;           // [heads*head_dim, channels]
  Side key_, value_;
  WeightView output_;           // [channels, heads*head_dim]
  View<const float, 1> gamma_;  // [channels]
};

// One block of any kind.
class MobileNetBlock {
 public:
  // Names in the binder are relative to the block.
  void bind(Binder& binder, const BlockPlan& plan);
  // out: out_h x out_w of same_size(x, stride), plan().out channels.
  void forward(Context& ctx, const Map& x, const Map& out) const;
  const BlockPlan& plan() const { return plan_; }

 private:
  BlockPlan plan_;
  std::variant<EdgeResidual, InvertedResidual, MobileAttention> block_;
};

}  // namespace g3n
