// Attention of each frame to itself and the frames just before it, with relative positions and capped logits.
// HF: Gemma3nAudioAttention, which cuts the frames into chunks; the window is the same whatever the chunk.
#pragma once
#include "core/context.h"

namespace g3n {

struct LocalAttention {
  View<const float, 2> q;     // [frames, heads*head_dim], scaled
  View<const float, 2> k, v;  // [frames, heads*head_dim]
  View<const float, 2>
      positions;  // [distances, heads*head_dim]: row d is added to the key d frames back; distances is the window
  int64_t heads;
  float logit_cap;
};

// out[t] = sum over distances d <= t of softmax_d(cap * tanh(q[t] . (k[t - d] + positions[d]) / cap)) * v[t - d], head
// by head. out: [frames, heads*head_dim], must not alias an input.
void local_attention(Context& ctx, const LocalAttention& a, View<float, 2> out);

}  // namespace g3n
