#include "text/reference_model.h"

#include <cmath>
#include <map>
#include <string>

#include "core/dtype.h"

namespace g3n::testing {
namespace {

using Vector = std::vector<double>;
using Rows = std::vector<Vector>;

struct Model {
  const TextConfig& c;
  const TensorSource& source;

  Vector tensor(const std::string& name) const {
    const TensorInfo* t = source.find("model.language_model." + name);
    if (!t) throw std::runtime_error("no tensor " + name);
    Vector out(t->bytes / 2);
    for (size_t i = 0; i < out.size(); ++i) out[i] = bf16_to_f32(reinterpret_cast<const bf16_t*>(t->data)[i]);
    return out;
  }
  Vector multiply(const std::string& name, const Vector& x) const {
    const Vector w = tensor(name);
    Vector y(w.size() / x.size());
    for (size_t o = 0; o < y.size(); ++o)
      for (size_t i = 0; i < x.size(); ++i) y[o] += w[o * x.size() + i] * x[i];
    return y;
  }
  double eps() const { return c.rms_norm_eps; }
  Vector norm(const Vector& x, const Vector& w) const {
    double square = 0;
    for (double v : x) square += v * v;
    const double scale = 1 / std::sqrt(square / x.size() + eps());
    Vector y(x);
    for (size_t i = 0; i < y.size(); ++i) y[i] *= scale * (w.empty() ? 1 : w[i]);
    return y;
  }
};

double mean_square(const Vector& x) {
  double sum = 0;
  for (double v : x) sum += v * v;
  return sum / x.size();
}
double gelu(double x) { return 0.5 * x * (1 + std::tanh(0.7978845608028654 * (x + 0.044715 * x * x * x))); }

Vector match(const Vector& projected, const Vector& target) {
  Vector y(projected);
  const double factor = std::sqrt(mean_square(target)) / std::sqrt(std::max(mean_square(projected), 1e-5));
  for (double& v : y) v *= factor;
  return y;
}

Vector slice(const Vector& x, size_t begin, size_t count) { return {x.begin() + begin, x.begin() + begin + count}; }

void rotate(Vector& head, double theta, size_t position) {
  const size_t half = head.size() / 2;
  for (size_t k = 0; k < half; ++k) {
    const double angle = position * std::pow(theta, -static_cast<double>(k) / half), a = head[k], b = head[k + half];
    head[k] = a * std::cos(angle) - b * std::sin(angle);
    head[k + half] = b * std::cos(angle) + a * std::sin(angle);
  }
}

struct LayerStep {
  const Model& m;
  int64_t layer;
  std::map<int64_t, std::pair<std::vector<Rows>, std::vector<Rows>>>& kv;  // per owner: K and V, [tokens][kv head][dim]

  std::string name(const std::string& n) const { return "layers." + std::to_string(layer) + "." + n + ".weight"; }

  Vector route(const Vector& x) const {
    Vector y = m.norm(x, m.tensor(name("altup.router_norm")));
    for (double& v : y) v /= static_cast<double>(x.size());
    y = m.multiply(name("altup.modality_router"), y);
    for (double& v : y) v = std::tanh(v);
    return y;
  }

  Vector attention(const Vector& n, size_t position) const {
    const TextConfig& c = m.c;
    const bool full = c.layer_types[layer] == LayerType::kFull;
    const double theta = full ? c.rope_theta : c.rope_local_base_freq;
    const size_t dim = c.head_dim, heads = c.num_attention_heads, kv_heads = c.num_key_value_heads;
    if (c.owns_kv(layer)) {
      const Vector k = m.multiply(name("self_attn.k_proj"), n), v = m.multiply(name("self_attn.v_proj"), n);
      Rows keys, values;
      for (size_t g = 0; g < kv_heads; ++g) {
        keys.push_back(m.norm(slice(k, g * dim, dim), m.tensor(name("self_attn.k_norm"))));
        rotate(keys.back(), theta, position);
        values.push_back(m.norm(slice(v, g * dim, dim), {}));
      }
      kv[layer].first.push_back(keys);
      kv[layer].second.push_back(values);
    }
    const auto& [keys, values] = kv.at(c.kv_layer(layer));
    const Vector q = m.multiply(name("self_attn.q_proj"), n);
    Vector mixed;
    for (size_t h = 0; h < heads; ++h) {
      Vector query = m.norm(slice(q, h * dim, dim), m.tensor(name("self_attn.q_norm")));
      rotate(query, theta, position);
      const size_t g = h / (heads / kv_heads);
      const size_t first =
          full || position + 1 <= static_cast<size_t>(c.sliding_window) ? 0 : position + 1 - c.sliding_window;
      Vector score, out(dim);
      for (size_t s = first; s <= position; ++s) {
        double sum = 0;
        for (size_t d = 0; d < dim; ++d) sum += query[d] * keys[s][g][d];
        score.push_back(sum);
      }
      double top = score[0], total = 0;
      for (double s : score) top = std::max(top, s);
      for (double& s : score) total += s = std::exp(s - top);
      for (size_t s = first; s <= position; ++s)
        for (size_t d = 0; d < dim; ++d) out[d] += score[s - first] / total * values[s][g][d];
      mixed.insert(mixed.end(), out.begin(), out.end());
    }
    return m.multiply(name("self_attn.o_proj"), mixed);
  }

  Vector feed_forward(const Vector& n) const {
    Vector gate = m.multiply(name("mlp.gate_proj"), n);
    const Vector up = m.multiply(name("mlp.up_proj"), n);
    const double sparsity = m.c.activation_sparsity_pattern[layer];
    if (sparsity > 0) {
      double mean = 0, variance = 0;
      for (double v : gate) mean += v / gate.size();
      for (double v : gate) variance += (v - mean) * (v - mean) / gate.size();
      const double cutoff = mean + inverse_normal_cdf(sparsity) * std::sqrt(variance);
      for (double& v : gate) v = std::max(0.0, v - cutoff);
    }
    for (size_t i = 0; i < gate.size(); ++i) gate[i] = gelu(gate[i]) * up[i];
    return m.multiply(name("mlp.down_proj"), gate);
  }

  Rows run(const Rows& h, const Vector& pli, size_t position) const {
    const size_t streams = h.size(), active = m.c.altup_active_idx, hidden = h[0].size();
    const Vector coefs = m.multiply(name("altup.prediction_coefs"), route(h[active]));
    Rows p = h;
    for (size_t i = 0; i < streams; ++i)
      for (size_t j = 0; j < streams; ++j)
        for (size_t d = 0; d < hidden; ++d) p[i][d] += coefs[i * streams + j] * h[j][d];
    const Vector& x = p[active];
    const Vector n = m.norm(x, m.tensor(name("input_layernorm")));
    const Vector low = m.norm(m.multiply(name("laurel.linear_right"), m.multiply(name("laurel.linear_left"), n)),
                              m.tensor(name("laurel.post_laurel_norm")));
    const Vector a = m.norm(attention(n, position), m.tensor(name("post_attention_layernorm")));
    Vector y(hidden);
    for (size_t d = 0; d < hidden; ++d) y[d] = (x[d] + a[d] + n[d] + low[d]) / std::sqrt(2.0);
    Vector z = m.norm(feed_forward(m.norm(y, m.tensor(name("pre_feedforward_layernorm")))),
                      m.tensor(name("post_feedforward_layernorm")));
    for (size_t d = 0; d < hidden; ++d) z[d] += y[d];
    const Vector k = m.multiply(name("altup.correction_coefs"), route(z));
    Rows q = p;
    for (size_t i = 0; i < streams; ++i)
      for (size_t d = 0; d < hidden; ++d) q[i][d] += (k[i] + 1) * (z[d] - x[d]);
    Vector g = q[active];
    if (m.c.altup_correct_scale) {
      const Vector scale = m.tensor("layers." + std::to_string(layer) + ".altup.correct_output_scale");
      for (size_t d = 0; d < hidden; ++d) g[d] *= scale[d];
    }
    g = m.multiply(name("per_layer_input_gate"), g);
    for (size_t i = 0; i < g.size(); ++i) g[i] = gelu(g[i]) * pli[i];
    g = m.norm(m.multiply(name("per_layer_projection"), g), m.tensor(name("post_per_layer_input_norm")));
    for (size_t i = 1; i < streams; ++i)
      for (size_t d = 0; d < hidden; ++d) q[i][d] += g[d];
    return q;
  }
};

}  // namespace

std::vector<std::vector<double>> reference_logits(const TextConfig& config, const TensorSource& source,
                                                  const std::vector<int32_t>& ids) {
  const Model m{config, source};
  const size_t hidden = config.hidden_size, ple = config.hidden_size_per_layer_input, layers = config.num_hidden_layers;
  const Vector table = m.tensor("embed_tokens.weight"), ple_table = m.tensor("embed_tokens_per_layer.weight");
  std::map<int64_t, std::pair<std::vector<Rows>, std::vector<Rows>>> kv;
  Rows all;
  for (size_t t = 0; t < ids.size(); ++t) {
    Vector e = slice(table, ids[t] * hidden, hidden);
    for (double& v : e) v *= std::sqrt(static_cast<double>(hidden));
    Vector b = m.multiply("per_layer_model_projection.weight", e);
    for (double& v : b) v /= std::sqrt(static_cast<double>(hidden));
    const size_t row = ids[t] < config.vocab_size_per_layer_input ? ids[t] : 0;
    Rows h{e};
    for (int64_t i = 0; i + 1 < config.altup_num_inputs; ++i)
      h.push_back(match(m.multiply("altup_projections." + std::to_string(i) + ".weight", e), e));
    for (size_t l = 0; l < layers; ++l) {
      Vector pli = m.norm(slice(b, l * ple, ple), m.tensor("per_layer_projection_norm.weight"));
      for (size_t i = 0; i < ple; ++i)
        pli[i] =
            (pli[i] + ple_table[(row * layers + l) * ple + i] * std::sqrt(static_cast<double>(ple))) * std::sqrt(0.5);
      h = LayerStep{m, static_cast<int64_t>(l), kv}.run(h, pli, t);
    }
    Vector x = h[0];
    for (size_t i = 1; i < h.size(); ++i) {
      const Vector r = match(m.multiply("altup_unembed_projections." + std::to_string(i - 1) + ".weight", h[i]), h[0]);
      for (size_t d = 0; d < hidden; ++d) x[d] += r[d];
    }
    for (double& v : x) v /= static_cast<double>(h.size());
    Vector logits = m.multiply("embed_tokens.weight", m.norm(x, m.tensor("norm.weight")));
    if (config.final_logit_softcapping > 0)
      for (double& v : logits) v = config.final_logit_softcapping * std::tanh(v / config.final_logit_softcapping);
    all.push_back(logits);
  }
  return all;
}

}  // namespace g3n::testing
