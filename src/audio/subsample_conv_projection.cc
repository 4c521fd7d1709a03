#include "audio/subsample_conv_projection.h"

#include <string>

#include "audio/cumulative_group_norm.h"
#include "kernels/ops.h"

namespace g3n {

void SubsampleConvProjection::bind(Binder& binder, const AudioConfig& config) {
  const Binder::Scope scope(binder, "subsample_conv_projection.");
  convs_.resize(config.convs.size());
  int64_t channels = 1;
  for (size_t i = 0; i < convs_.size(); ++i) {
    const SscpConv& shape = config.convs[i];
    const std::string name = "conv_" + std::to_string(i);
    binder.matrix(name + ".conv.weight", convs_[i].weight,
                  {shape.channels, channels, shape.kernel_frames, shape.kernel_bins});
    binder.vector(name + ".norm.weight", convs_[i].norm, shape.channels);
    channels = shape.channels;
  }
  binder.matrix("input_proj_linear.weight", input_proj_linear_, {config.hidden, config.flat()});
}

void SubsampleConvProjection::forward(Context& ctx, const AudioConfig& config, View<const float, 2> log_mel,
                                      View<float, 2> out) const {
  expect_shape(log_mel, {log_mel.dim[0], config.mels}, "log_mel");
  expect_shape(out, {out.dim[0], config.hidden}, "out");
  const ArenaScope scope(ctx.arena);
  View<const float, 3> x(log_mel.data, {log_mel.dim[0], log_mel.dim[1], 1},
                         {log_mel.step[0], 1, 1});  // [frames, bins, channels]
  for (size_t i = 0; i < convs_.size(); ++i) {
    const SscpConv& conv = config.convs[i];
    const int64_t bins = conv.out_bins(x.dim[1]), channels = conv.channels;
    const int64_t frames = i + 1 == convs_.size() ? out.dim[0] : conv.out_frames(x.dim[0]);
    const View<float, 3> y(ctx.arena.take<float>(frames * bins * channels), {frames, bins, channels});
    const ConvShape shape{.kernel_h = conv.kernel_frames,
                          .kernel_w = conv.kernel_bins,
                          .stride_h = conv.stride_frames,
                          .stride_w = conv.stride_bins,
                          .pad_top = 0,
                          .pad_left = SscpConv::kBinPadding,
                          .out_h = frames,
                          .out_w = bins};
    conv2d(ctx, x, shape, convs_[i].weight, View<float, 2>(y.data, {frames * bins, channels}));
    cumulative_group_norm_relu(ctx, View<float, 2>(y.data, {frames, bins * channels}), convs_[i].norm,
                               config.group_norm_eps);
    if (ctx.taps)
      ctx.tap("audio.sscp." + std::to_string(i),
              View<float, 3>(y.data, {channels, frames, bins}, {1, bins * channels, channels}), 1);
    x = y;
  }
  matmul(ctx, View<const float, 2>(x.data, {x.dim[0], x.dim[1] * x.dim[2]}), input_proj_linear_, out);
  ctx.tap("audio.sscp_out", out);
}

}  // namespace g3n
