// ConformerBlock: half a feed-forward, local attention, a light convolution, the other half, a norm. The stream x
// [frames, hidden] is changed in place; only valid frames come in, so nothing is masked. HF: Gemma3nAudioConformerBlock
// and its parts, same names.
#pragma once
#include "audio/audio_config.h"
#include "core/context.h"
#include "weights/binder.h"

namespace g3n {

// What all blocks of one pass share.
struct ConformerPass {
  const AudioConfig& config;
  View<const float, 2>
      sinusoids;  // [distances, hidden]: row d encodes "d frames back"; distances is the attention window
};
// Sines, then cosines, of d / 10000^(i / (hidden / 2 - 1)). HF: Gemma3nAudioRelativePositionEmbedding.
void relative_sinusoids(View<float, 2> out);  // [distances, hidden]

// x += residual_weight * post_layer_norm(ffw_layer_2 * silu(ffw_layer_1 * pre_layer_norm(x)))
class ConformerFeedForward {
 public:
  void bind(Binder& binder, const AudioConfig& config);
  void forward(Context& ctx, const ConformerPass& pass, View<float, 2> x) const;

 private:
  View<const float, 1> pre_layer_norm_, post_layer_norm_;  // [hidden]
  WeightView ffw_layer_1_;                                 // [ffn, hidden]
  WeightView ffw_layer_2_;                                 // [hidden, ffn]
};

// x += post_norm(post * attention(pre_attn_norm(x)))
class ConformerAttention {
 public:
  void bind(Binder& binder, const AudioConfig& config);
  void forward(Context& ctx, const ConformerPass& pass, View<float, 2> x) const;

 private:
  View<const float, 1> pre_attn_norm_, post_norm_;  // [hidden]
  View<const float, 1> per_dim_scale_;              // [head_dim]
  WeightView q_proj_, k_proj_, v_proj_;             // [hidden, hidden]
  WeightView pos_proj_, post_;                      // [hidden, hidden]
};

// x += linear_end * silu(conv_norm(depthwise_conv1d(glu(linear_start * pre_layer_norm(x)))))
class ConformerLightConv1d {
 public:
  void bind(Binder& binder, const AudioConfig& config);
  // Only every `keep`-th frame of x is changed: those that are read later.
  void forward(Context& ctx, const ConformerPass& pass, View<float, 2> x, int64_t keep) const;

 private:
  View<const float, 1> pre_layer_norm_, conv_norm_;  // [hidden]
  WeightView linear_start_;                          // [2 * hidden, hidden]: values, then gates
  View<const float, 2> depthwise_conv1d_;            // [conv_kernel_size, hidden]
  WeightView linear_end_;                            // [hidden, hidden]
};

class ConformerBlock {
 public:
  void bind(Binder& binder, const AudioConfig& config);
  // keep: only frames 0, keep, 2 * keep, ... are wanted; the others are left half done (1: all). Taps,
  // scope.index.name: ffw_start, attention, lconv, ffw_end, out.
  void forward(Context& ctx, const ConformerPass& pass, int64_t index, View<float, 2> x, int64_t keep) const;

 private:
  ConformerFeedForward ffw_layer_start_, ffw_layer_end_;
  ConformerAttention attention_;
  ConformerLightConv1d lconv1d_;
  View<const float, 1> norm_;  // [hidden]
};

// Frames 0, every, 2 * every, ... of x, in place.
inline View<float, 2> every_nth(View<float, 2> x, int64_t every) {
  return {x.data, {(x.dim[0] + every - 1) / every, x.dim[1]}, {x.step[0] * every, 1}};
}

}  // namespace g3n
