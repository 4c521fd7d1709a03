#include "text/feed_forward.h"

#include <algorithm>
#include <cmath>

#include "kernels/ops.h"

namespace g3n {
namespace {
constexpr int64_t kRowsAtOnce = 256;
}

void FeedForward::bind(Binder& bind, const TextConfig& config, int64_t layer) {
  layer_ = layer;
  const double sparsity = config.activation_sparsity_pattern[layer];
  if (config.activation_sparsity_multiplier.empty()) {
    sparse_ = sparsity > 0;
    cutoff_ = sparse_ ? static_cast<float>(inverse_normal_cdf(sparsity)) : 0.0f;
  } else {
    const double multiplier = config.activation_sparsity_multiplier[layer];
    sparse_ = std::isfinite(multiplier);
    cutoff_ = sparse_ ? static_cast<float>(multiplier) : 0.0f;
  }
  const int64_t ffn = config.intermediate_size[layer], hidden = config.hidden_size;
  bind.matrix("mlp.gate_proj.weight", gate_proj, {ffn, hidden});
  bind.matrix("mlp.up_proj.weight", up_proj, {ffn, hidden}, sparse_ ? Layout::kRows : Layout::kPanels);
  bind.matrix("mlp.down_proj.weight", down_proj, {hidden, ffn}, sparse_ ? Layout::kNeurons : Layout::kPanels);
}

// Row by row in blocks, so that what lies between the projections stays small.
void FeedForward::forward(Context& ctx, View<const float, 2> x, View<float, 2> out) const {
  const int64_t rows = x.dim[0], block = ctx.taps ? rows : kRowsAtOnce;  // a tap wants all rows together
  for (int64_t first = 0; first < rows; first += block) {
    const int64_t count = std::min(block, rows - first);
    forward_block(ctx, x.slice(first, count), out.slice(first, count));
  }
}

// Dense: down * (gelu(gate * x) . (up * x)). Sparse: gate = max(0, gate - (mean + z * std)) first, and zero neurons do
// no work.
void FeedForward::forward_block(Context& ctx, View<const float, 2> x, View<float, 2> out) const {
  ArenaScope scope(ctx.arena);
  View<float, 2> gate = ctx.scratch(x.dim[0], gate_proj.rows);  // [tokens, ffn]
  if (sparse_) {
    matmul(ctx, x, gate_proj, gate);
    gaussian_topk(ctx, gate, cutoff_);
    ctx.tap("gate_sparse", layer_, gate);
    sparse_feed_forward(ctx, x, gate, up_proj, down_proj, out);
    return;
  }
  View<float, 2> up = ctx.scratch(x.dim[0], up_proj.rows);  // [tokens, ffn]
  matmul(ctx, x, {{gate_proj, gate}, {up_proj, up}});
  gelu_mul(ctx, gate, up, gate);
  matmul(ctx, gate, down_proj, out);
}

}  // namespace g3n
