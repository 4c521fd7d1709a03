// TextModel: token ids and soft tokens to logits (text.md). Const once bound; caches, scratch and threads come in as
// arguments. HF: Gemma3nTextModel and the head of Gemma3nForConditionalGeneration.
#pragma once
#include <memory>
#include <vector>

#include "seam/language_model.h"
#include "text/batch_plan.h"
#include "text/decoder_layer.h"
#include "text/per_layer_embedding.h"
#include "text/text_config.h"
#include "weights/binder.h"

namespace g3n {

class TextModel {
 public:
  explicit TextModel(TextConfig config) : config_(std::move(config)) {}
  void bind(Binder& bind);

  const TextConfig& config() const { return config_; }
  int64_t vocab_size() const { return config_.vocab_size; }
  // An empty sequence of at most `context` positions, whose pages come from the pool. Batches of this model alone may
  // hold it, and the model stays where it is.
  std::unique_ptr<SequenceCache> make_cache(std::shared_ptr<PagePool> pool, int64_t context) const;
  // Computes all rows and appends them to their caches, uncommitted. logits: [rows that want them, vocab], in row
  // order; when none does, only K and V are computed. Throws kInvalidArgument for rows that do not fit together or a
  // cache of another model, kContextFull, kOutOfMemory, and what ctx.between throws; every cache then stands where it
  // stood.
  void forward(Context& ctx, const Batch& batch, View<float, 2> logits) const;

 private:
  void run(Context& ctx, const Batch& batch, const BatchPlan& plan, View<float, 2> logits) const;
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
