#include "text/decoder_layer.h"

#include <cmath>

#include "kernels/ops.h"

namespace g3n {

void DecoderLayer::bind(Binder& bind, const TextConfig& config, int64_t layer) {
  layer_ = layer, active_ = config.altup_active_idx, correct_scale_ = config.altup_correct_scale,
  eps_ = config.rms_norm_eps;
  const int64_t hidden = config.hidden_size, ple = config.hidden_size_per_layer_input;
  Binder::Scope scope(bind, "layers." + std::to_string(layer) + ".");
  bind.vector("input_layernorm.weight", input_layernorm, hidden);
  bind.vector("post_attention_layernorm.weight", post_attention_layernorm, hidden);
  bind.vector("pre_feedforward_layernorm.weight", pre_feedforward_layernorm, hidden);
  bind.vector("post_feedforward_layernorm.weight", post_feedforward_layernorm, hidden);
  bind.vector("post_per_layer_input_norm.weight", post_per_layer_input_norm, hidden);
  bind.matrix("per_layer_input_gate.weight", per_layer_input_gate, {ple, hidden});
  bind.matrix("per_layer_projection.weight", per_layer_projection, {hidden, ple});
  altup.bind(bind, config);
  laurel.bind(bind, config);
  attention.bind(bind, config, layer);
  feed_forward.bind(bind, config, layer);
}

void DecoderLayer::forward(Context& ctx, const RowSet& rows, View<const float, 2> per_layer_input, bool kv_is_written,
                           View<float, 3> streams) const {
  ArenaScope scope(ctx.arena);
  const int64_t tokens = streams.dim[1], hidden = streams.dim[2];
  altup.predict(ctx, streams, streams);
  ctx.tap("altup_predict", layer_, streams, 1);
  View<float, 2> attended = ctx.scratch(tokens, hidden), activated = ctx.scratch(tokens, hidden);
  attend(ctx, rows, streams[active_], kv_is_written, attended);
  feed(ctx, attended, activated);
  altup.correct(ctx, activated, streams);
  ctx.tap("altup_correct", layer_, streams, 1);
  add_per_layer_input(ctx, per_layer_input, streams);
  ctx.tap("out", layer_, streams, 1);
}

// (x + post_norm(attention(n)) + laurel(n)) / sqrt(2), n = norm(x)
void DecoderLayer::attend(Context& ctx, const RowSet& rows, View<const float, 2> x, bool kv_is_written,
                          View<float, 2> out) const {
  ArenaScope scope(ctx.arena);
  const int64_t tokens = x.dim[0], hidden = x.dim[1];
  View<float, 2> normed = ctx.scratch(tokens, hidden), low_rank = ctx.scratch(tokens, hidden);
  rms_norm(ctx, x, input_layernorm, eps_, normed);
  ctx.tap("input_norm", layer_, normed);
  laurel.forward(ctx, normed, low_rank);
  ctx.tap("laurel", layer_, low_rank);
  if (kv_is_written)
    attention.attend(ctx, rows, normed, out);
  else
    attention.forward(ctx, rows, normed, out);
  ctx.tap("attention", layer_, out);
  rms_norm(ctx, out, post_attention_layernorm, eps_, out);
  ctx.tap("post_attention_norm", layer_, out);
  add3_scaled(ctx, x, out, low_rank, std::sqrt(2.0f), out);
  ctx.tap("attn_laurel", layer_, out);
}

// x + post_norm(feed_forward(pre_norm(x)))
void DecoderLayer::feed(Context& ctx, View<const float, 2> x, View<float, 2> out) const {
  ArenaScope scope(ctx.arena);
  View<float, 2> normed = ctx.scratch(x.dim[0], x.dim[1]);
  rms_norm(ctx, x, pre_feedforward_layernorm, eps_, normed);
  ctx.tap("pre_feedforward_norm", layer_, normed);
  feed_forward.forward(ctx, normed, out);
  ctx.tap("feed_forward", layer_, out);
  rms_norm(ctx, out, post_feedforward_layernorm, eps_, out);
  ctx.tap("post_feedforward_norm", layer_, out);
  add(ctx, x, out, out);
  ctx.tap("activated", layer_, out);
}

// g = post_norm(projection * (gelu(gate * (scale . active stream)) . input)); every stream but the first receives it.
void DecoderLayer::add_per_layer_input(Context& ctx, View<const float, 2> per_layer_input,
                                       View<float, 3> streams) const {
  ArenaScope scope(ctx.arena);
  const int64_t tokens = streams.dim[1], hidden = streams.dim[2];
  View<float, 2> wide = ctx.scratch(tokens, hidden);
  View<float, 2> gate = ctx.scratch(tokens, per_layer_input_gate.rows);  // [tokens, ple]
  if (correct_scale_)
    mul_row(ctx, streams[active_], altup.correct_output_scale, wide);
  else
    copy(ctx, streams[active_], wide);
  matmul(ctx, wide, per_layer_input_gate, gate);
  gelu_mul(ctx, gate, per_layer_input, gate);
  ctx.tap("per_layer_gate", layer_, gate);
  matmul(ctx, gate, per_layer_projection, wide);
  rms_norm(ctx, wide, post_per_layer_input_norm, eps_, wide);
  ctx.tap("post_per_layer_input_norm", layer_, wide);
  for (int64_t i = 1; i < streams.dim[0]; ++i) add(ctx, streams[i], wide, streams[i]);
}

void DecoderLayer::append_kv(Context& ctx, const RowSet& rows, View<const float, 3> h) const {
  ArenaScope scope(ctx.arena);
  View<float, 3> predicted = ctx.scratch(h.dim[0], h.dim[1], h.dim[2]);
  altup.predict(ctx, h, predicted);
  View<float, 2> normed = predicted[active_];
  rms_norm(ctx, normed, input_layernorm, eps_, normed);
  attention.append(ctx, rows, normed);
}

}  // namespace g3n
