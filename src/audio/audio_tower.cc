#include "audio/audio_tower.h"

#include <algorithm>
#include <string>

#include "kernels/ops.h"

namespace g3n {

AudioTower::AudioTower(const AudioConfig& config) : config_(config), conformer_(static_cast<size_t>(config.layers)) {}

void AudioTower::bind(Binder& binder) {
  {
    const Binder::Scope scope(binder, "model.audio_tower.");
    subsample_conv_projection_.bind(binder, config_);
    for (size_t i = 0; i < conformer_.size(); ++i) {
      const Binder::Scope block(binder, "conformer." + std::to_string(i) + ".");
      conformer_[i].bind(binder, config_);
    }
  }
  embed_audio_.bind(binder, "model.embed_audio.",
                    {.vocab = config_.vocab_size,
                     .width = config_.hidden,
                     .hidden = config_.text_hidden,
                     .eps = config_.rms_norm_eps});
}

int64_t AudioTower::valid_frames(int64_t frames, std::span<const uint8_t> valid) const {
  const int64_t all = config_.conformer_frames(frames), stride = config_.stride_frames();
  if (valid.empty()) return all;
  if (static_cast<int64_t>(valid.size()) != frames)
    throw Error(ErrorCode::kInvalidArgument, "audio: expected a mask of " + std::to_string(frames) +
                                                 " log-mel frames, found " + std::to_string(valid.size()));
  const auto padding = std::find(valid.begin(), valid.end(), 0);
  const auto stray = std::find_if(padding, valid.end(), [](uint8_t v) { return v != 0; });
  if (stray != valid.end())
    throw Error(ErrorCode::kInvalidArgument, "audio: expected padding behind the clip only, found a valid frame " +
                                                 std::to_string(stray - valid.begin()) + " after padding from frame " +
                                                 std::to_string(padding - valid.begin()));
  const int64_t count = padding - valid.begin();
  return count == frames ? all : (count + stride - 1) / stride;
}

void AudioTower::conform(Context& ctx, View<float, 2> x) const {
  const ArenaScope scope(ctx.arena);
  Context inner = ctx;
  inner.scope = "audio.block";
  const View<float, 2> sinusoids =
      ctx.scratch(std::min(config_.context_left, x.dim[0]), config_.hidden);  // [distances, hidden]
  relative_sinusoids(sinusoids);
  const ConformerPass pass{.config = config_, .sinusoids = sinusoids};
  for (size_t i = 0; i < conformer_.size(); ++i) {
    ctx.between_blocks();
    // Frames between the kept ones end in the last block, unless somebody wants to see them.
    const std::string name = "audio.block." + std::to_string(i) + ".";
    const bool whole = i + 1 < conformer_.size() || ctx.wants_tap(name + "lconv") || ctx.wants_tap(name + "ffw_end") ||
                       ctx.wants_tap(name + "out");
    conformer_[i].forward(inner, pass, static_cast<int64_t>(i), x, whole ? 1 : config_.reduction_factor);
  }
}

void AudioTower::forward(Context& ctx, View<const float, 2> log_mel, std::span<const uint8_t> valid,
                         View<float, 2> soft_tokens) const {
  const int64_t frames = log_mel.dim[0], hidden = config_.hidden, rows = config_.soft_tokens;
  expect_shape(log_mel, {frames, config_.mels}, "log_mel");
  expect_shape(soft_tokens, {rows, config_.text_hidden}, "soft_tokens");
  if (frames == 0) throw Error(ErrorCode::kInvalidArgument, "audio: expected at least one log-mel frame, found none");
  const int64_t all = tokens(frames), conformer_frames = valid_frames(frames, valid);
  if (all > rows)
    throw Error(ErrorCode::kInvalidArgument, "audio: expected a clip of at most " + std::to_string(rows) +
                                                 " soft tokens, found " + std::to_string(all) + " (" +
                                                 std::to_string(frames) + " log-mel frames)");
  const int64_t own = (conformer_frames + config_.reduction_factor - 1) / config_.reduction_factor;
  ctx.tap("audio.log_mel", log_mel);

  const ArenaScope scope(ctx.arena);
  const View<float, 2> encoded = ctx.scratch(all, hidden);  // [tokens, hidden]
  if (own > 0) {
    const View<float, 2> x = ctx.scratch(conformer_frames, hidden);  // [frames, hidden]
    subsample_conv_projection_.forward(ctx, config_, log_mel, x);
    conform(ctx, x);
    copy(ctx, every_nth(x, config_.reduction_factor), encoded.slice(0, own));
    embed_audio_.soft(ctx, encoded.slice(0, own), soft_tokens.slice(0, own));
  }
  for (int64_t i = own; i < all; ++i) std::fill_n(encoded.row(i), hidden, 0.0f);
  ctx.tap("audio.encoded", encoded);

  if (own < rows) {
    hard_embedding(ctx, config_.vocab_size - 1, soft_tokens.slice(own, 1));
    for (int64_t i = own + 1; i < rows; ++i) std::copy_n(soft_tokens.row(own), config_.text_hidden, soft_tokens.row(i));
  }
  ctx.tap("audio.soft_tokens", soft_tokens);
}

void AudioTower::hard_embedding(Context& ctx, int64_t row, View<float, 2> out) const {
  embed_audio_.hard(ctx, row, out);
}

}  // namespace g3n
