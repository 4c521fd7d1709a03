// Per-layer embeddings (PLE): a vector per token and layer, half from a big table looked up on disk, half projected
// from the merged embedding (text.md 4). HF: Gemma3nTextModel.get_per_layer_inputs, project_per_layer_inputs.
#pragma once
#include <span>

#include "core/context.h"
#include "text/text_config.h"
#include "weights/binder.h"

namespace g3n {

struct PerLayerEmbedding {
  TableView embed_tokens_per_layer;                // [ple vocab, layers*ple], mapped
  WeightView per_layer_model_projection;           // [layers*ple, hidden]
  View<const float, 1> per_layer_projection_norm;  // [ple]

  void bind(Binder& bind, const TextConfig& config);
  // Inputs of layers first .. first + out.dim[1] / ple. ids: [tokens], merged: [tokens, hidden], out: [tokens, some
  // layers*ple].
  void forward(Context& ctx, std::span<const int32_t> ids, View<const float, 2> merged, int64_t first_layer,
               View<float, 2> out) const;

 private:
  int64_t ple_ = 0, vocab_ = 0;
  float eps_ = 0;
};

}  // namespace g3n
