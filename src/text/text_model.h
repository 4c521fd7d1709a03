// TextModel: token ids and soft tokens to logits (text.md). Const once bound; caches, scratch and threads come in as
// arguments. HF: Gemma3nTextModel and the head of Gemma3nForConditionalGeneration.
#pragma once
#include <array>
#include <memory>
#include <vector>

#include "seam/language_model.h"
#include "text/decoder_layer.h"
#include "text/per_layer_embedding.h"
#include "text/text_config.h"
#include "weights/binder.h"

namespace g3n {

class TextModel : public LanguageModel {
 public:
  explicit TextModel(TextConfig config) : config_(std::move(config)) {}
  void bind(Binder& bind);

  const TextConfig& config() const { return config_; }
  int64_t vocab_size() const override { return config_.vocab_size; }
  int64_t choosable_ids() const override { return config_.vocab_size_per_layer_input; }
  std::unique_ptr<SequenceCache> make_cache(int64_t context, int64_t chunk, DType kv) const override;
  void forward(Context& ctx, const Batch& batch, View<float, 2> logits) const override;

 private:
  struct Streams;
  void embed(Context& ctx, const Batch& batch, std::span<const int32_t> ids, View<float, 2> merged) const;
  void expand(Context& ctx, View<const float, 2> merged, View<float, 3> streams) const;
  void head(Context& ctx, View<const float, 3> streams, View<float, 2> logits) const;

  TextConfig config_;
  TableView embed_tokens_;  // [vocab, hidden], as in the file: rows are looked up
  WeightView unembed_;      // [vocab, hidden]: the head; tied: the same tensor, packed
  PerLayerEmbedding per_layer_embedding_;
  std::vector<WeightView> altup_projections_;          // streams - 1 of [hidden, hidden]
  std::vector<WeightView> altup_unembed_projections_;  // streams - 1 of [hidden, hidden]
  std::vector<DecoderLayer> layers_;
  View<const float, 1> norm_;  // [hidden]
};

}  // namespace g3n
