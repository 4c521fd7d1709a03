#include "text/text_config.h"

#include <cmath>
#include <limits>

#include "g3n/error.h"

namespace g3n {
namespace {

constexpr int64_t kMany = int64_t{1} << 24;  // widths: products of two and a type's size stay in range

std::vector<LayerType> read_layer_types(const Config& c, int64_t layers) {
  std::vector<LayerType> types;
  if (!c.has("layer_types")) {
    for (int64_t i = 0; i < layers; ++i) types.push_back((i + 1) % 5 == 0 ? LayerType::kFull : LayerType::kSliding);
    return types;
  }
  for (const std::string& name : c.texts("layer_types")) {
    if (name != "sliding_attention" && name != "full_attention")
      c.fail("layer_types", "\"sliding_attention\" or \"full_attention\"");
    types.push_back(name == "full_attention" ? LayerType::kFull : LayerType::kSliding);
  }
  if (static_cast<int64_t>(types.size()) != layers)
    c.fail("layer_types", "a list of " + std::to_string(layers) + " entries (num_hidden_layers)");
  return types;
}

std::vector<int64_t> read_widths(const Config& c, int64_t layers) {
  std::vector<int64_t> widths =
      c.has("intermediate_size") ? c.integers("intermediate_size", /*scalar_ok=*/true) : std::vector<int64_t>{16384};
  if (!c.is_list("intermediate_size")) widths.assign(layers, widths.at(0));
  if (static_cast<int64_t>(widths.size()) != layers)
    c.fail("intermediate_size", "a number or a list of " + std::to_string(layers) + " numbers (num_hidden_layers)");
  for (int64_t w : widths)
    if (w < 1 || w > kMany) c.fail("intermediate_size", "numbers from 1 to " + std::to_string(kMany));
  return widths;
}

std::vector<double> read_sparsity(const Config& c, int64_t layers) {
  std::vector<double> pattern(layers, 0.0);
  if (!c.has("activation_sparsity_pattern")) {  // transformers' default
    if (layers > 10)
      for (int i = 0; i < 10; ++i) pattern[i] = 0.95;
    return pattern;
  }
  if (c.is_list("activation_sparsity_pattern"))
    pattern = c.numbers("activation_sparsity_pattern");
  else
    pattern.assign(layers, c.number("activation_sparsity_pattern"));
  if (static_cast<int64_t>(pattern.size()) != layers)
    c.fail("activation_sparsity_pattern", "a list of " + std::to_string(layers) + " numbers (num_hidden_layers)");
  for (double p : pattern)
    if (!(p >= 0 && p < 1)) c.fail("activation_sparsity_pattern", "numbers in [0, 1)");
  return pattern;
}

std::vector<double> read_multipliers(const Config& c, int64_t layers) {
  const std::vector<double> multipliers = c.numbers("activation_sparsity_multiplier");
  if (!multipliers.empty() && static_cast<int64_t>(multipliers.size()) != layers)
    c.fail("activation_sparsity_multiplier", "a list of " + std::to_string(layers) + " numbers (num_hidden_layers)");
  for (double m : multipliers)
    if (std::isnan(m) || m > std::numeric_limits<float>::max())
      c.fail("activation_sparsity_multiplier", "finite numbers, or -Infinity for a dense layer");
  return multipliers;
}

// Frequencies are powers of 1 / theta, down from 1.
void check_theta(const Config& c, const std::string& key, double theta) {
  if (!(theta >= 1 && theta < INFINITY)) c.fail(key, "a finite number of at least 1");
}

// What is a float in the model, read as such: no rounding to 0 or infinity.
float read_eps(const Config& c) {
  const auto eps = static_cast<float>(c.number("rms_norm_eps", 1e-6));
  if (!(eps > 0 && eps < 1)) c.fail("rms_norm_eps", "a number between 0 and 1");
  return eps;
}

// null: none.
float read_soft_cap(const Config& c) {
  const double number = c.number("final_logit_softcapping", c.is_null("final_logit_softcapping") ? 0.0 : 30.0);
  const auto cap = static_cast<float>(number);
  if (number != 0 && !(cap > 0 && std::isfinite(cap) && std::isfinite(1 / cap)))
    c.fail("final_logit_softcapping", "null, 0 or a positive finite number");
  return cap;
}

// Both schema generations: rope_theta and rope_local_base_freq, or rope_parameters per layer type.
void read_rope(const Config& c, TextConfig& out) {
  out.rope_theta = c.number("rope_theta", 1e6);
  out.rope_local_base_freq = c.number("rope_local_base_freq", 1e4);
  check_theta(c, "rope_theta", out.rope_theta);
  check_theta(c, "rope_local_base_freq", out.rope_local_base_freq);
  if (c.has("rope_scaling")) {
    const Config scaling = c.object("rope_scaling");
    if (scaling.text("rope_type", scaling.text("type", "default")) != "default")
      c.fail("rope_scaling", "null or the default type");
  }
  const Config parameters = c.object("rope_parameters");
  auto read = [&](const char* key, double& theta) {
    const Config one = parameters.object(key);
    theta = one.number("rope_theta", theta);
    if (one.text("rope_type", "default") != "default") one.fail("rope_type", "\"default\"");
    check_theta(one, "rope_theta", theta);
  };
  read("full_attention", out.rope_theta);
  read("sliding_attention", out.rope_local_base_freq);
}

}  // namespace

TextConfig TextConfig::from(const Config& top) {
  const Config c = top.has("text_config") || !top.has("hidden_size") ? top.object("text_config") : top;
  TextConfig t;
  t.vocab_size = c.integer("vocab_size", 262400, 1, kMany);
  t.vocab_size_per_layer_input = c.integer("vocab_size_per_layer_input", 262144, 1, t.vocab_size);
  t.hidden_size = c.integer("hidden_size", 2048, 1, kMany);
  t.hidden_size_per_layer_input = c.integer("hidden_size_per_layer_input", 256, 1, kMany);
  t.num_hidden_layers = c.integer("num_hidden_layers", 35, 1, 4096);
  t.num_attention_heads = c.integer("num_attention_heads", 8, 1, 65536);
  t.num_key_value_heads = c.integer("num_key_value_heads", 2, 1, t.num_attention_heads);
  t.head_dim = c.integer("head_dim", 256, 2, 65536);
  t.num_kv_shared_layers = c.integer("num_kv_shared_layers", 15, 0, t.num_hidden_layers - 1);
  t.sliding_window = c.integer("sliding_window", 512, 1, kMany);
  t.laurel_rank = c.integer("laurel_rank", 64, 1, kMany);
  t.altup_num_inputs = c.integer("altup_num_inputs", 4, 1, 64);
  t.altup_active_idx = c.integer("altup_active_idx", 0, 0, t.altup_num_inputs - 1);
  t.altup_correct_scale = c.boolean("altup_correct_scale", true);
  t.tie_word_embeddings = top.boolean("tie_word_embeddings", true);
  t.altup_coef_clip = c.number("altup_coef_clip", 120.0);
  if (!(t.altup_coef_clip > 0)) c.fail("altup_coef_clip", "a positive number");
  t.max_position_embeddings = c.integer("max_position_embeddings", 32768, 1, int64_t{1} << 30);
  t.rms_norm_eps = read_eps(c);
  t.final_logit_softcapping = read_soft_cap(c);
  t.layer_types = read_layer_types(c, t.num_hidden_layers);
  t.intermediate_size = read_widths(c, t.num_hidden_layers);
  t.activation_sparsity_pattern = read_sparsity(c, t.num_hidden_layers);
  t.activation_sparsity_multiplier = read_multipliers(c, t.num_hidden_layers);
  read_rope(c, t);
  if (t.head_dim % 2) c.fail("head_dim", "an even number");
  if (t.num_attention_heads % t.num_key_value_heads) c.fail("num_key_value_heads", "a divisor of num_attention_heads");
  if (c.boolean("attention_bias", false)) c.fail("attention_bias", "false (Gemma 3n has no biases)");
  if (c.text("hidden_activation", "gelu_pytorch_tanh") != "gelu_pytorch_tanh")
    c.fail("hidden_activation", "\"gelu_pytorch_tanh\"");
  for (int64_t l = t.first_shared_layer(); l < t.num_hidden_layers; ++l)
    if (t.kv_layer(l) < 0)
      c.fail("num_kv_shared_layers",
             "for shared layer " + std::to_string(l) + " an earlier layer of its type that owns K and V");
  return t;
}

int64_t TextConfig::kv_layer(int64_t layer) const {
  if (owns_kv(layer)) return layer;
  for (int64_t i = first_shared_layer() - 1; i >= 0; --i)
    if (layer_types[i] == layer_types[layer]) return i;
  return -1;
}

double TextConfig::live_neurons(int64_t layer) const {
  const auto at = static_cast<size_t>(layer);
  if (activation_sparsity_multiplier.empty()) return 1 - activation_sparsity_pattern.at(at);
  return std::erfc(activation_sparsity_multiplier.at(at) / std::sqrt(2.0)) / 2;
}

// Newton's method on the CDF; erfc is exact enough that the result is good to the last digits of a double.
double inverse_normal_cdf(double p) {
  const double sqrt2 = std::sqrt(2.0), density = 1 / std::sqrt(2 * std::acos(-1.0));
  double z = 0;
  for (int i = 0; i < 100; ++i) {
    const double cdf = 0.5 * std::erfc(-z / sqrt2);
    double step = (cdf - p) / (density * std::exp(-0.5 * z * z));
    if (step > 1) step = 1;
    if (step < -1) step = -1;
    z -= step;
    if (std::fabs(step) < 1e-15) break;
  }
  return z;
}

}  // namespace g3n
