// MultimodalEmbedder: from a tower's features, or a row of its side vocabulary, to vectors of the text model's width.
//   v = rms_norm(features, soft_embedding_norm)          or   rms_norm(embedding[row], hard_embedding_norm)
//   e = rms_norm_no_weight(embedding_projection * v)     HF: Gemma3nMultimodalEmbedder
// Vision and audio own one each and share nothing else.
#pragma once
#include <string>

#include "core/context.h"
#include "kernels/ops.h"
#include "weights/binder.h"

namespace g3n {

struct EmbedderShape {
  int64_t vocab = 128;  // rows of the side vocabulary
  int64_t width = 0;    // of the tower's features: vision_config.hidden_size, audio_config.hidden_size
  int64_t hidden = 0;   // text_config.hidden_size
  float eps = 1e-6f;    // rms_norm_eps of the tower's config
};

class MultimodalEmbedder {
 public:
  // prefix: "model.embed_vision." or "model.embed_audio.".
  void bind(Binder& binder, const std::string& prefix, const EmbedderShape& shape);
  // Soft path. x is not changed; out must not alias it.
  void soft(Context& ctx, View<const float, 2> x,  // [rows, width]
            View<float, 2> out) const;             // [rows, hidden]
  // Hard path: row of the side vocabulary (id - vocab_offset). Throws kInvalidArgument beyond it.
  void hard(Context& ctx, int64_t row, View<float, 2> out) const;  // [1, hidden]

  const EmbedderShape& shape() const { return shape_; }

 private:
  void project(Context& ctx, View<const float, 2> normed, View<float, 2> out) const;

  EmbedderShape shape_;
  TableView embedding_;             // [vocab, width]
  View<const float, 1> hard_norm_;  // [width]
  View<const float, 1> soft_norm_;  // [width]
  WeightView projection_;           // [hidden, width]
};

}  // namespace g3n
