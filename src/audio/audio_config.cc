#include "audio/audio_config.h"

#include <cmath>

#include "g3n/error.h"

namespace g3n {
namespace {

constexpr int64_t kMostExtent = 1 << 20;  // of any extent: products of three stay far from overflow

float positive(const Config& config, const std::string& key, double fallback) {
  const auto value = static_cast<float>(config.number(key, fallback));
  if (!(value > 0 && std::isfinite(value))) config.fail(key, "a number above 0");
  return value;
}

float epsilon(const Config& config, const std::string& key, double fallback) {
  const auto value = static_cast<float>(config.number(key, fallback));
  if (!(value > 0 && value < 1)) config.fail(key, "a number between 0 and 1");
  return value;
}

// A list of [frames, bins] pairs, one per convolution.
std::vector<std::vector<int64_t>> pairs(const Config& config, const std::string& key, size_t count) {
  std::vector<std::vector<int64_t>> list = config.integer_lists(key);
  if (list.empty()) return list;
  bool good = list.size() == count;
  for (const std::vector<int64_t>& pair : list)
    good = good && pair.size() == 2 && pair[0] >= 1 && pair[1] >= 1 && pair[0] <= kMostExtent && pair[1] <= kMostExtent;
  if (!good) config.fail(key, "a list of " + std::to_string(count) + " pairs [frames, bins], each at least 1");
  return list;
}

std::vector<SscpConv> convs_from(const Config& config, std::vector<SscpConv> convs) {
  if (const std::vector<int64_t> channels = config.integers("sscp_conv_channel_size"); !channels.empty()) {
    if (channels.size() != convs.size())
      config.fail("sscp_conv_channel_size", "a list of " + std::to_string(convs.size()));
    for (size_t i = 0; i < convs.size(); ++i) {
      if (channels[i] < 1 || channels[i] > kMostExtent)
        config.fail("sscp_conv_channel_size", "positive numbers of channels");
      convs[i].channels = channels[i];
    }
  }
  const auto kernels = pairs(config, "sscp_conv_kernel_size", convs.size());
  for (size_t i = 0; i < kernels.size(); ++i)
    convs[i].kernel_frames = kernels[i][0], convs[i].kernel_bins = kernels[i][1];
  const auto strides = pairs(config, "sscp_conv_stride_size", convs.size());
  for (size_t i = 0; i < strides.size(); ++i)
    convs[i].stride_frames = strides[i][0], convs[i].stride_bins = strides[i][1];
  return convs;
}

}  // namespace

AudioConfig AudioConfig::from(const Config& top) {
  AudioConfig c;
  const Config audio = top.object("audio_config");
  c.mels = audio.integer("input_feat_size", c.mels, 1, kMostExtent);
  c.hidden = audio.integer("hidden_size", c.hidden, 2, kMostExtent);
  c.layers = audio.integer("conf_num_hidden_layers", c.layers, 0, 4096);
  c.heads = audio.integer("conf_num_attention_heads", c.heads, 1, c.hidden);
  // conf_attention_chunk_size is how transformers cuts the work; any value is the same sliding window.
  c.context_left = audio.integer("conf_attention_context_left", c.context_left, 1, kMostExtent);
  c.conv_kernel_size = audio.integer("conf_conv_kernel_size", c.conv_kernel_size, 1, kMostExtent);
  c.reduction_factor = audio.integer("conf_reduction_factor", c.reduction_factor, 1, kMostExtent);
  c.convs = convs_from(audio, c.convs);
  c.residual_weight = static_cast<float>(audio.number("conf_residual_weight", c.residual_weight));
  if (!std::isfinite(c.residual_weight)) audio.fail("conf_residual_weight", "a finite number");
  c.logit_cap = positive(audio, "conf_attention_logit_cap", c.logit_cap);
  c.gradient_clipping = positive(audio, "gradient_clipping", 1e10);
  c.rms_norm_eps = epsilon(audio, "rms_norm_eps", 1e-6);
  c.group_norm_eps = epsilon(audio, "sscp_conv_group_norm_eps", 1e-3);
  c.vocab_size = audio.integer("vocab_size", c.vocab_size, 1, kMostExtent);
  c.vocab_offset = audio.integer("vocab_offset", c.vocab_offset, 0, INT32_MAX);
  c.soft_tokens = top.integer("audio_soft_tokens_per_image", c.soft_tokens, 1, kMostExtent);
  c.text_hidden = top.object("text_config").integer("hidden_size", c.text_hidden, 1, kMostExtent);

  if (c.hidden % c.heads != 0)
    audio.fail("conf_num_attention_heads", "a divisor of hidden_size " + std::to_string(c.hidden));
  if (c.hidden % 2 != 0) audio.fail("hidden_size", "an even number");
  int64_t bins = c.mels;
  for (const SscpConv& conv : c.convs) {
    if (bins + 2 * SscpConv::kBinPadding < conv.kernel_bins)
      audio.fail("sscp_conv_kernel_size", "at most " + std::to_string(bins + 2 * SscpConv::kBinPadding) + " bins here");
    bins = conv.out_bins(bins);
  }
  if (const int64_t right = audio.integer("conf_attention_context_right", 0, 0); right != 0)
    throw Error(
        ErrorCode::kUnsupported,
        audio.where() + ": conf_attention_context_right: expected 0 (no look-ahead), found " + std::to_string(right));
  return c;
}

int64_t AudioConfig::stride_frames() const {
  int64_t stride = 1;
  for (const SscpConv& conv : convs) stride *= conv.stride_frames;
  return stride;
}

int64_t AudioConfig::conformer_frames(int64_t frames) const {
  for (const SscpConv& conv : convs) frames = conv.out_frames(frames);
  return frames;
}

int64_t AudioConfig::tokens(int64_t frames) const {
  return frames == 0 ? 0 : (conformer_frames(frames) - 1) / reduction_factor + 1;
}

int64_t AudioConfig::flat() const {
  int64_t bins = mels;
  for (const SscpConv& conv : convs) bins = conv.out_bins(bins);
  return bins * convs.back().channels;
}

}  // namespace g3n
