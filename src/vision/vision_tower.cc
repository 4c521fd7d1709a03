// The tower from pixels to soft tokens. Maps alternate between two buffers; the map of the last stage but one is kept
// for the fusion.
#include "vision/vision_tower.h"

#include <cmath>

#include "g3n/message.h"

namespace g3n {
namespace {

constexpr int64_t kPixelChannels = 3, kStemKernel = 3, kStemStride = 2;
static_assert(kStemStride << kStages == kLeastImageSide);  // every stage halves the map once
constexpr char kTowerPrefix[] = "model.vision_tower.timm_model.";

// Two buffers of the sizes that maps 0, 2, 4, ... and 1, 3, 5, ... need, of which one holds the current map.
class MapBuffers {
 public:
  MapBuffers(Context& ctx, int64_t even_values, int64_t odd_values)
      : data_{ctx.arena.take<float>(even_values), ctx.arena.take<float>(odd_values)} {}
  Map next(int64_t h, int64_t w, int64_t channels) {
    float* data = data_[turn_];
    turn_ = 1 - turn_;
    return {View<float, 2>(data, {h * w, channels}), h, w};
  }

 private:
  float* data_[2];
  int turn_ = 0;
};

}  // namespace

void VisionTower::bind(Binder& binder) {
  {
    Binder::Scope scope(binder, kTowerPrefix);
    const TowerPlan plan = plan_tower(binder, config_);
    binder.matrix("conv_stem.conv.weight", conv_stem_, {plan.stem, kPixelChannels, kStemKernel, kStemKernel});
    binder.optional_vector("conv_stem.conv.bias", conv_stem_bias_, plan.stem);
    stem_bias_missing_ = binder.has("conv_stem.conv.weight") && !binder.has("conv_stem.conv.bias");
    binder.vector("conv_stem.bn.weight", conv_stem_bn_, plan.stem);
    for (int s = 0; s < kStages; ++s) {
      stages_[s].resize(plan.stages[s].size());
      for (size_t i = 0; i < stages_[s].size(); ++i) {
        Binder::Scope block(binder, "blocks." + std::to_string(s) + "." + std::to_string(i) + ".");
        stages_[s][i].bind(binder, plan.stages[s][i]);
      }
    }
    msfa_.bind(binder, {plan.stages[2].back().out, plan.stages[3].back().out, plan.fusion_mid, config_.hidden_size,
                        config_.output_resolution});
  }
  embedder_.bind(binder, "model.embed_vision.",
                 {config_.vocab_size, config_.hidden_size, config_.text_hidden_size, config_.rms_norm_eps});
}

void VisionTower::stem(Context& ctx, View<const float, 3> pixels, Map out) const {
  const ConvShape conv = same_conv(pixels.dim[0], pixels.dim[1], kStemKernel, kStemStride);
  const int64_t step = strip_rows(ctx, out.h, out.w, out.channels());
  for (int64_t row = 0; row < out.h; row += step) {
    const RowRange strip = {row, std::min(row + step, out.h)};
    const RowRange in = input_rows(conv, pixels.dim[0], strip);
    const View<float, 2> y = out.rows(strip.begin, strip.end).x;  // [strip, stem]
    conv2d(ctx, pixels.slice(in.begin, in.end - in.begin), part_of(conv, strip, in.begin), conv_stem_, y);
    if (conv_stem_bias_) add_row(ctx, y, conv_stem_bias_, y);
    rms_norm(ctx, y, conv_stem_bn_, kTowerEps, y);
    gelu(ctx, y, y);
  }
}

void VisionTower::features(Context& ctx, View<const float, 3> pixels, View<float, 2> out) const {
  int64_t h = same_size(pixels.dim[0], kStemStride), w = same_size(pixels.dim[1], kStemStride);
  int64_t values[2] = {h * w * conv_stem_.rows, 0};
  int64_t turn = 0;
  for (int64_t map_h = h, map_w = w; const auto& stage : stages_)
    for (const MobileNetBlock& block : stage) {
      map_h = same_size(map_h, block.plan().stride), map_w = same_size(map_w, block.plan().stride);
      turn = 1 - turn;
      values[turn] = std::max(values[turn], map_h * map_w * block.plan().out);
    }
  MapBuffers buffers(ctx, values[0], values[1]);

  Map x = buffers.next(h, w, conv_stem_.rows);
  stem(ctx, pixels, x);
  ctx.tap("vision.stem", x.planes());
  Map fine;
  for (int s = 0; s < kStages; ++s) {
    for (size_t i = 0; i < stages_[s].size(); ++i) {
      ctx.between_blocks();
      const BlockPlan& plan = stages_[s][i].plan();
      const Map y = buffers.next(same_size(x.h, plan.stride), same_size(x.w, plan.stride), plan.out);
      stages_[s][i].forward(ctx, x, y);
      x = y;
      if (ctx.taps) ctx.tap("vision.block." + std::to_string(s) + "." + std::to_string(i), x.planes());
    }
    if (s == kStages - 2) {
      fine = scratch_map(ctx, x.h, x.w, x.channels());
      copy(ctx, x.x, fine.x);
    }
  }
  msfa_.forward(ctx, fine, x, out);
}

void VisionTower::forward(Context& ctx, View<const float, 3> pixels, View<float, 2> soft_tokens) const {
  if (pixels.dim[0] < 1 || pixels.dim[1] < 1)
    throw Error(ErrorCode::kInvalidArgument, "picture of " + std::to_string(pixels.dim[1]) + " x " +
                                                 std::to_string(pixels.dim[0]) + " pixels: expected at least one");
  expect_shape(pixels, {pixels.dim[0], pixels.dim[1], kPixelChannels}, "pixels");
  expect_shape(soft_tokens, {config_.soft_tokens_per_image, config_.text_hidden_size}, "soft tokens");
  ctx.tap("vision.pixels", View<const float, 3>(pixels.data, {pixels.dim[2], pixels.dim[0], pixels.dim[1]},
                                                {pixels.step[2], pixels.step[0], pixels.step[1]}));
  ArenaScope scope(ctx.arena);
  const int64_t side = config_.output_resolution;
  const Map map = scratch_map(ctx, side, side, config_.hidden_size);
  features(ctx, pixels, map.x);
  ctx.tap("vision.msfa", map.planes());
  scale(ctx, map.x, static_cast<float>(std::sqrt(static_cast<double>(config_.hidden_size))), map.x);
  ctx.tap("vision.features", map.x);
  embedder_.soft(ctx, map.x, soft_tokens);
  ctx.tap("vision.soft_tokens", soft_tokens);
}

}  // namespace g3n
