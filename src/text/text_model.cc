#include "text/text_model.h"

#include <algorithm>
#include <cmath>

#include "g3n/error.h"
#include "kernels/ops.h"

namespace g3n {
namespace {

constexpr float kMagnitudeFloor = 1e-5f;  // of the mean square, HF: Gemma3nTextModel.forward

// The rows `which` of every stream.
void gather_streams(View<const float, 3> from, std::span<const int32_t> which, View<float, 3> to) {
  for (int64_t s = 0; s < from.dim[0]; ++s)
    for (size_t i = 0; i < which.size(); ++i)
      std::copy_n(from[s].row(which[i]), from.dim[2], to[s].row(static_cast<int64_t>(i)));
}

// Pages for the rows of a batch: given back unless the rows were written.
class Reservation {
 public:
  explicit Reservation(std::span<const SequenceRun> runs) : runs_(runs) {}
  Reservation(const Reservation&) = delete;
  Reservation& operator=(const Reservation&) = delete;
  ~Reservation() {
    if (kept_) return;
    for (const SequenceRun& run : runs_) run.cache->give_back();
  }
  void take() {
    for (const SequenceRun& run : runs_) run.cache->reserve(run.rows);
  }
  void keep() {
    for (const SequenceRun& run : runs_) run.cache->appended(run.rows);
    kept_ = true;
  }

 private:
  std::span<const SequenceRun> runs_;
  bool kept_ = false;
};

}  // namespace

void TextModel::bind(Binder& bind) {
  const int64_t hidden = config_.hidden_size, others = config_.altup_num_inputs - 1;
  const bool own_head = !config_.tie_word_embeddings && bind.has("lm_head.weight");
  if (own_head) bind.matrix("lm_head.weight", unembed_, {config_.vocab_size, hidden});
  Binder::Scope scope(bind, "model.language_model.");
  bind.table("embed_tokens.weight", embed_tokens_, {config_.vocab_size, hidden});
  if (!own_head) bind.matrix("embed_tokens.weight", unembed_, {config_.vocab_size, hidden});
  per_layer_embedding_.bind(bind, config_);
  altup_projections_.resize(others);
  altup_unembed_projections_.resize(others);
  for (int64_t i = 0; i < others; ++i) {
    bind.matrix("altup_projections." + std::to_string(i) + ".weight", altup_projections_[i], {hidden, hidden});
    bind.matrix("altup_unembed_projections." + std::to_string(i) + ".weight", altup_unembed_projections_[i],
                {hidden, hidden});
  }
  layers_.resize(config_.num_hidden_layers);
  for (int64_t i = 0; i < config_.num_hidden_layers; ++i) layers_[i].bind(bind, config_, i);
  bind.vector("norm.weight", norm_, hidden);
}

std::unique_ptr<SequenceCache> TextModel::make_cache(std::shared_ptr<PagePool> pool, int64_t context) const {
  return std::make_unique<KvPages>(config_, this, std::move(pool), context);
}

void TextModel::forward(Context& base, const Batch& batch, View<float, 2> logits) const {
  if (batch.rows.empty()) return;
  Context ctx = base;
  ctx.scope = "text.layer";
  ArenaScope scope(ctx.arena);
  const BatchPlan plan = plan_batch(ctx, config_, this, batch);
  expect_shape(logits, {plan.wanted.rows, config_.vocab_size}, "logits");
  Reservation reservation(plan.all.runs);
  reservation.take();
  run(ctx, batch, plan, logits);
  reservation.keep();
}

// Two row sets: all rows up to K and V of the cut layer, the wanted rows from its queries on (text.md 7.3).
void TextModel::run(Context& ctx, const Batch& batch, const BatchPlan& plan, View<float, 2> logits) const {
  const int64_t rows = plan.all.rows, wanted = plan.wanted.rows, hidden = config_.hidden_size,
                streams = config_.altup_num_inputs;
  const int64_t ple = config_.hidden_size_per_layer_input, layers = config_.num_hidden_layers,
                cut = config_.cut_layer();
  const bool whole = plan.everything_wanted();
  View<float, 2> merged = ctx.scratch(rows, hidden);
  embed(ctx, batch, plan.all.ids, merged);
  const int64_t early_layers = whole ? layers : cut;
  View<float, 2> early = ctx.scratch(rows, early_layers * ple);  // per-layer inputs of all rows
  if (early_layers) per_layer_embedding_.forward(ctx, plan.all.ids, merged, 0, early);
  if (whole)
    ctx.tap("text.per_layer_inputs", View<const float, 3>{early.data, {rows, layers, ple}, {early.step[0], ple, 1}});
  View<float, 3> h = ctx.scratch(streams, rows, hidden);
  expand(ctx, merged, h);
  ctx.tap("text.altup_expand", h, 1);
  const auto layer_input = [&](View<const float, 2> inputs, int64_t index) {
    return View<const float, 2>{inputs.data + index * ple, {inputs.dim[0], ple}, {inputs.step[0], 1}};
  };
  for (int64_t i = 0; i < early_layers; ++i) {
    ctx.between_blocks();
    layers_[i].forward(ctx, plan.all, layer_input(early, i), /*kv_is_written=*/false, h);
  }
  if (whole) return head(ctx, h, logits);

  ctx.between_blocks();
  layers_[cut].append_kv(ctx, plan.all, h);
  if (wanted == 0) return;
  View<float, 3> some = ctx.scratch(streams, wanted, hidden);
  gather_streams(h, plan.wanted_rows, some);
  View<float, 2> some_merged = ctx.scratch(wanted, hidden), late = ctx.scratch(wanted, (layers - cut) * ple);
  for (int64_t i = 0; i < wanted; ++i) std::copy_n(merged.row(plan.wanted_rows[i]), hidden, some_merged.row(i));
  per_layer_embedding_.forward(ctx, plan.wanted.ids, some_merged, cut, late);
  for (int64_t i = cut; i < layers; ++i) {
    ctx.between_blocks();
    layers_[i].forward(ctx, plan.wanted, layer_input(late, i - cut), /*kv_is_written=*/i == cut, some);
  }
  head(ctx, some, logits);
}

// Token rows times sqrt(hidden), soft tokens as they are (text.md 3).
void TextModel::embed(Context& ctx, const Batch& batch, std::span<const int32_t> ids, View<float, 2> merged) const {
  gather_rows(ctx, embed_tokens_, ids, 0, static_cast<float>(std::sqrt(static_cast<double>(config_.hidden_size))),
              merged);
  ctx.tap("text.embed", merged);
  for (size_t i = 0; i < batch.rows.size(); ++i)
    if (batch.rows[i].soft_token >= 0)
      std::copy_n(batch.soft_tokens[static_cast<size_t>(batch.rows[i].soft_token)], config_.hidden_size,
                  merged.row(static_cast<int64_t>(i)));
  ctx.tap("text.merged", merged);
}

// Stream 0 is the embedding; the others are projections of it, brought to its magnitude (text.md 5).
void TextModel::expand(Context& ctx, View<const float, 2> merged, View<float, 3> streams) const {
  copy(ctx, merged, streams[0]);
  for (size_t i = 0; i < altup_projections_.size(); ++i) {
    View<float, 2> stream = streams[static_cast<int64_t>(i) + 1];
    matmul(ctx, merged, altup_projections_[i], stream);
    match_magnitude(ctx, stream, merged, kMagnitudeFloor, stream);
  }
}

// Streams projected back and averaged, final norm, tied head, soft-cap (text.md 9).
void TextModel::head(Context& ctx, View<const float, 3> streams, View<float, 2> logits) const {
  ArenaScope scope(ctx.arena);
  const int64_t rows = streams.dim[1], hidden = streams.dim[2];
  View<float, 3> planes = ctx.scratch(streams.dim[0], rows, hidden);
  copy(ctx, streams[0], planes[0]);
  for (size_t i = 0; i < altup_unembed_projections_.size(); ++i) {
    View<float, 2> plane = planes[static_cast<int64_t>(i) + 1];
    matmul(ctx, streams[static_cast<int64_t>(i) + 1], altup_unembed_projections_[i], plane);
    match_magnitude(ctx, plane, streams[0], kMagnitudeFloor, plane);
  }
  View<float, 2> x = ctx.scratch(rows, hidden);
  mean_planes(ctx, planes, x);
  ctx.tap("text.altup_merge", x);
  rms_norm(ctx, x, norm_, config_.rms_norm_eps, x);
  ctx.tap("text.norm", x);
  matmul(ctx, x, unembed_, logits);
  if (config_.final_logit_softcapping > 0)
    tanh_scaled(ctx, logits, 1.0f / config_.final_logit_softcapping, config_.final_logit_softcapping, logits);
  ctx.tap("text.logits", logits);
  ctx.tap("text.last_logits", logits[rows - 1], -1);
}

}  // namespace g3n
