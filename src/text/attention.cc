#include "text/attention.h"

#include "kernels/ops.h"

namespace g3n {
namespace {

// [tokens, heads*head_dim] seen head by head, for taps.
View<const float, 3> by_head(View<const float, 2> x, int64_t head_dim) {
  return {x.data, {x.dim[0], x.dim[1] / head_dim, head_dim}, {x.step[0], head_dim, 1}};
}

}  // namespace

void Attention::bind(Binder& bind, const TextConfig& config, int64_t layer) {
  layer_ = layer, kv_layer_ = config.kv_layer(layer), type_ = config.layer_types[layer],
  owns_kv_ = config.owns_kv(layer);
  heads_ = config.num_attention_heads, kv_heads_ = config.num_key_value_heads, head_dim_ = config.head_dim,
  eps_ = config.rms_norm_eps;
  const int64_t hidden = config.hidden_size, q = heads_ * head_dim_, kv = kv_heads_ * head_dim_;
  bind.matrix("self_attn.q_proj.weight", q_proj, {q, hidden});
  if (owns_kv_) {
    bind.matrix("self_attn.k_proj.weight", k_proj, {kv, hidden});
    bind.matrix("self_attn.v_proj.weight", v_proj, {kv, hidden});
    bind.vector("self_attn.k_norm.weight", k_norm, head_dim_);
  } else {
    bind.ignored("self_attn.k_proj.weight", {kv, hidden});
    bind.ignored("self_attn.v_proj.weight", {kv, hidden});
    bind.ignored("self_attn.k_norm.weight", {head_dim_});
  }
  bind.matrix("self_attn.o_proj.weight", o_proj, {hidden, q});
  bind.vector("self_attn.q_norm.weight", q_norm, head_dim_);
}

void Attention::forward(Context& ctx, const RowSet& rows, View<const float, 2> x, View<float, 2> out) const {
  if (!owns_kv_) return attend(ctx, rows, x, out);
  ArenaScope scope(ctx.arena);
  View<float, 2> q = ctx.scratch(rows.rows, heads_ * head_dim_);
  View<float, 2> k = ctx.scratch(rows.rows, kv_heads_ * head_dim_), v = ctx.scratch(rows.rows, kv_heads_ * head_dim_);
  matmul(ctx, x, {{q_proj, q}, {k_proj, k}, {v_proj, v}});
  write(ctx, rows, k, v);
  read(ctx, rows, q, out);
}

void Attention::append(Context& ctx, const RowSet& rows, View<const float, 2> x) const {
  ArenaScope scope(ctx.arena);
  View<float, 2> k = ctx.scratch(rows.rows, kv_heads_ * head_dim_), v = ctx.scratch(rows.rows, kv_heads_ * head_dim_);
  matmul(ctx, x, {{k_proj, k}, {v_proj, v}});
  write(ctx, rows, k, v);
}

void Attention::attend(Context& ctx, const RowSet& rows, View<const float, 2> x, View<float, 2> out) const {
  ArenaScope scope(ctx.arena);
  View<float, 2> q = ctx.scratch(rows.rows, heads_ * head_dim_);
  matmul(ctx, x, q_proj, q);
  read(ctx, rows, q, out);
}

// Norms and rotates k, norms v (without a weight), appends both.
void Attention::write(Context& ctx, const RowSet& rows, View<float, 2> k, View<float, 2> v) const {
  const int type = static_cast<int>(type_);
  rms_norm(ctx, k, k_norm, eps_, k, head_dim_);
  rope(ctx, k, rows.cos[type], rows.sin[type]);
  rms_norm(ctx, v, {}, eps_, v, head_dim_);
  ctx.tap("k", layer_, by_head(k, head_dim_));
  ctx.tap("v", layer_, by_head(v, head_dim_));
  for (const SequenceRun& run : rows.runs)
    kv_append(ctx, run.cache->layer(layer_), run.first_position, k.slice(run.first_row, run.rows),
              v.slice(run.first_row, run.rows));
}

void Attention::read(Context& ctx, const RowSet& rows, View<float, 2> q, View<float, 2> out) const {
  const int type = static_cast<int>(type_);
  rms_norm(ctx, q, q_norm, eps_, q, head_dim_);
  rope(ctx, q, rows.cos[type], rows.sin[type]);
  ctx.tap("q", layer_, by_head(q, head_dim_));
  ArenaScope scope(ctx.arena);
  View<float, 2> mixed = ctx.scratch(rows.rows, heads_ * head_dim_);
  attention(ctx, q, heads_, attention_sequences(ctx, rows, type_, kv_layer_), mixed);
  matmul(ctx, mixed, o_proj, out);
}

}  // namespace g3n
