// TextConfig: every number of the text decoder, from config.json (spec: checkpoint.md 1). HF: Gemma3nTextConfig.
#pragma once
#include <cstdint>
#include <vector>

#include "json/config.h"

namespace g3n {

enum class LayerType : uint8_t { kSliding, kFull };

struct TextConfig {
  int64_t vocab_size = 0;
  int64_t vocab_size_per_layer_input = 0;
  int64_t hidden_size = 0;
  int64_t hidden_size_per_layer_input = 0;
  int64_t num_hidden_layers = 0;
  int64_t num_attention_heads = 0;
  int64_t num_key_value_heads = 0;
  int64_t head_dim = 0;
  int64_t num_kv_shared_layers = 0;
  int64_t sliding_window = 0;
  int64_t laurel_rank = 0;
  int64_t altup_num_inputs = 0;
  int64_t altup_active_idx = 0;
  bool altup_correct_scale = true;
  bool tie_word_embeddings = true;  // the head is the embedding table; false: lm_head.weight, if the file has it
  double altup_coef_clip = 0;       // weights beyond it deserve a warning, nothing is clipped (text.md 6.2)
  double rope_theta = 0;            // full layers
  double rope_local_base_freq = 0;  // sliding layers
  int64_t max_position_embeddings = 0;
  float rms_norm_eps = 0;
  float final_logit_softcapping = 0;                // 0: none
  std::vector<LayerType> layer_types;               // [layers]
  std::vector<int64_t> intermediate_size;           // [layers]
  std::vector<double> activation_sparsity_pattern;  // [layers], 0: dense
  // [layers], or empty: standard deviations above the mean, in place of the pattern's quantile; -inf: dense. GGUF files
  // have these.
  std::vector<double> activation_sparsity_multiplier;

  // From the top-level object of config.json, or from a text-only export where the keys are at the top. Throws
  // kBadFile, kUnsupported.
  static TextConfig from(const Config& top);

  // Layers from here on own no K and V.
  int64_t first_shared_layer() const { return num_hidden_layers - num_kv_shared_layers; }
  bool owns_kv(int64_t layer) const { return layer < first_shared_layer(); }
  // The layer whose K and V this layer reads: itself, or the last owner of the same type.
  int64_t kv_layer(int64_t layer) const;
  // The share of a feed-forward's neurons that its sparsity leaves, as its config says; 1: dense.
  double live_neurons(int64_t layer) const;
  // Rows whose logits nobody wants end inside this layer, after its K and V (text.md 7.3).
  int64_t cut_layer() const { return first_shared_layer() - 1; }
};

// z with P(X < z) = p for a standard normal X: the cut-off of Gaussian top-k (text.md 8). p in (0, 1).
double inverse_normal_cdf(double p);

}  // namespace g3n
