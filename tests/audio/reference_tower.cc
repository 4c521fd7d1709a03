#include "audio/reference_tower.h"

#include <algorithm>
#include <cmath>

namespace g3n::testing {
namespace {

struct Reference {
  const AudioConfig& c;
  const TensorMap& all;
  const ReferenceOptions& options;

  const Tensor& w(const std::string& name) const { return all.at("model." + name); }

  static Matrix linear(const Matrix& x, const Tensor& weight) {
    Matrix y(x.rows, weight.shape[0]);
    for (int64_t r = 0; r < y.rows; ++r)
      for (int64_t o = 0; o < y.cols; ++o)
        for (int64_t i = 0; i < x.cols; ++i)
          y.at(r, o) += x.at(r, i) * weight.values[static_cast<size_t>(o * x.cols + i)];
    return y;
  }

  Matrix norm(Matrix x, const Tensor* weight) const {
    for (int64_t r = 0; r < x.rows; ++r) {
      double square = 0;
      for (int64_t i = 0; i < x.cols; ++i) square += x.at(r, i) * x.at(r, i);
      for (int64_t i = 0; i < x.cols; ++i)
        x.at(r, i) *= (weight ? weight->values[static_cast<size_t>(i)] : 1.0) /
                      std::sqrt(square / static_cast<double>(x.cols) + c.rms_norm_eps);
    }
    return x;
  }
  Matrix norm(const Matrix& x, const std::string& name) const { return norm(x, &w(name)); }

  static Matrix add(Matrix a, const Matrix& b, double factor) {
    for (size_t i = 0; i < a.values.size(); ++i) a.values[i] += factor * b.values[i];
    return a;
  }
  static double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
  static Matrix silu(Matrix a) {
    for (double& v : a.values) v *= sigmoid(v);
    return a;
  }

  // Channel-major maps: maps[channel] is [frames, bins].
  using Maps = std::vector<Matrix>;

  Maps conv(const Maps& x, const SscpConv& shape, const Tensor& weight) const {
    const int64_t frames = (x[0].rows + shape.stride_frames - 1) / shape.stride_frames;
    const int64_t bins = (x[0].cols + 2 - shape.kernel_bins) / shape.stride_bins + 1;
    Maps y(static_cast<size_t>(shape.channels), Matrix(frames, bins));
    size_t at = 0;
    for (Matrix& out : y)
      for (const Matrix& in : x)
        for (int64_t kt = 0; kt < shape.kernel_frames; ++kt)
          for (int64_t kf = 0; kf < shape.kernel_bins; ++kf) {
            const double value = weight.values[at++];
            for (int64_t t = 0; t < frames; ++t)
              for (int64_t f = 0; f < bins; ++f) {
                const int64_t st = t * shape.stride_frames + kt, sf = f * shape.stride_bins + kf - 1;
                if (st < in.rows && sf >= 0 && sf < in.cols) out.at(t, f) += value * in.at(st, sf);
              }
          }
    return y;
  }

  void cumulative_norm_relu(Maps& x, const Tensor& weight) const {
    const int64_t frames = x[0].rows, bins = x[0].cols;
    double sum = 0, square = 0, count = 0;
    for (int64_t t = 0; t < frames; ++t) {
      for (const Matrix& m : x)
        for (int64_t f = 0; f < bins; ++f) sum += m.at(t, f);
      count += static_cast<double>(bins) * static_cast<double>(x.size());
      const double mean = sum / count;
      // Frames are normalised as the loop goes on, so the wrong rule needs the raw ones back: it keeps them.
      raw.resize(static_cast<size_t>(frames));
      for (const Matrix& m : x)
        for (int64_t f = 0; f < bins; ++f) raw[static_cast<size_t>(t)].push_back(m.at(t, f));
      if (options.variance_against_latest_mean) square = 0;
      for (int64_t s = options.variance_against_latest_mean ? 0 : t; s <= t; ++s)
        for (double v : raw[static_cast<size_t>(s)]) square += (v - mean) * (v - mean);
      for (size_t ch = 0; ch < x.size(); ++ch)
        for (int64_t f = 0; f < bins; ++f)
          x[ch].at(t, f) =
              std::max(0.0, (x[ch].at(t, f) - mean) / std::sqrt(square / count + c.group_norm_eps) * weight.values[ch]);
    }
    raw.clear();
  }
  mutable std::vector<std::vector<double>> raw{};

  Matrix sub_sample(const Matrix& log_mel) const {
    Maps x = {log_mel};
    for (size_t i = 0; i < c.convs.size(); ++i) {
      const std::string name = "audio_tower.subsample_conv_projection.conv_" + std::to_string(i);
      x = conv(x, c.convs[i], w(name + ".conv.weight"));
      cumulative_norm_relu(x, w(name + ".norm.weight"));
    }
    const auto channels = static_cast<int64_t>(x.size());
    Matrix flat(x[0].rows, x[0].cols * channels);
    for (int64_t t = 0; t < flat.rows; ++t)
      for (int64_t f = 0; f < x[0].cols; ++f)
        for (int64_t ch = 0; ch < channels; ++ch) flat.at(t, f * channels + ch) = x[static_cast<size_t>(ch)].at(t, f);
    return linear(flat, w("audio_tower.subsample_conv_projection.input_proj_linear.weight"));
  }

  Matrix half_step(const Matrix& x, const std::string& name) const {
    const Matrix y = linear(silu(linear(norm(x, name + ".pre_layer_norm.weight"), w(name + ".ffw_layer_1.weight"))),
                            w(name + ".ffw_layer_2.weight"));
    return add(x, norm(y, name + ".post_layer_norm.weight"), c.residual_weight);
  }

  Matrix relative_positions(const std::string& name) const {  // row f: distance past - f
    const int64_t past = c.context_left - 1, half = c.hidden / 2;
    Matrix s(past + 1, c.hidden);
    for (int64_t f = 0; f <= past; ++f)
      for (int64_t i = 0; i < half; ++i) {
        const double increment = std::log(10000.0) / static_cast<double>(std::max<int64_t>(half - 1, 1));
        const double angle = static_cast<double>(past - f) * std::exp(-static_cast<double>(i) * increment);
        s.at(f, i) = std::sin(angle), s.at(f, half + i) = std::cos(angle);
      }
    return linear(s, w(name + "relative_position_embedding.pos_proj.weight"));
  }

  // One chunk of queries from frame `start` on, one head: adds the weighted values to out.
  void attend_chunk(const Matrix& q, const Matrix& k, const Matrix& v, const Matrix& r,
                    const std::vector<uint8_t>& padding, int64_t start, int64_t head, Matrix& out) const {
    const int64_t past = c.context_left - 1, chunk = options.chunk, context = chunk + past, size = c.hidden / c.heads;
    const auto dot = [&](const Matrix& a, int64_t i, const Matrix& b, int64_t j) {
      double sum = 0;
      for (int64_t d = head * size; d < (head + 1) * size; ++d) sum += a.at(i, d) * b.at(j, d);
      return sum;
    };
    // Position term [chunk, past + 1], padded to context + 1 columns, read again with rows of context columns: the
    // relative shift.
    std::vector<double> shifted(static_cast<size_t>(chunk * (context + 1)));
    for (int64_t i = 0; i < chunk && start + i < q.rows; ++i)
      for (int64_t f = 0; f <= past; ++f) shifted[static_cast<size_t>(i * (context + 1) + f)] = dot(q, start + i, r, f);
    for (int64_t i = 0; i < chunk && start + i < q.rows; ++i) {
      std::vector<double> p(static_cast<size_t>(context), -1e300);
      double sum = 0;
      for (int64_t slot = i; slot <= i + past; ++slot) {
        const int64_t key = start - past + slot;
        if (key < 0 || key >= q.rows || padding[static_cast<size_t>(key)]) continue;
        double logit = dot(q, start + i, k, key) + shifted[static_cast<size_t>(i * context + slot)];
        if (options.cap_logits) logit = c.logit_cap * std::tanh(logit / c.logit_cap);
        p[static_cast<size_t>(slot)] = logit;
      }
      const double largest = *std::max_element(p.begin(), p.end());
      if (largest == -1e300) continue;
      for (double& value : p) sum += value = value == -1e300 ? 0 : std::exp(value - largest);
      for (int64_t slot = i; slot <= i + past; ++slot)
        if (p[static_cast<size_t>(slot)] > 0)
          for (int64_t d = head * size; d < (head + 1) * size; ++d)
            out.at(start + i, d) += p[static_cast<size_t>(slot)] / sum * v.at(start - past + slot, d);
    }
  }

  Matrix attention(const Matrix& n, const std::string& name, const std::vector<uint8_t>& padding) const {
    Matrix q = linear(n, w(name + "q_proj.weight"));
    const Matrix k = linear(n, w(name + "k_proj.weight")), v = linear(n, w(name + "v_proj.weight")),
                 r = relative_positions(name);
    const int64_t size = c.hidden / c.heads;
    for (int64_t t = 0; t < q.rows; ++t)
      for (int64_t i = 0; i < q.cols; ++i)
        q.at(t, i) *= std::log1p(std::exp(w(name + "per_dim_scale").values[static_cast<size_t>(i % size)])) /
                      std::log(2.0) / std::sqrt(static_cast<double>(size));
    Matrix out(n.rows, n.cols);
    for (int64_t start = 0; start < n.rows; start += options.chunk)
      for (int64_t head = 0; head < c.heads; ++head) attend_chunk(q, k, v, r, padding, start, head, out);
    return out;
  }

  Matrix light_conv(Matrix m, const std::string& name, const std::vector<uint8_t>& padding) const {
    for (int64_t t = 0; t < m.rows; ++t)
      for (int64_t i = 0; i < m.cols && padding[static_cast<size_t>(t)]; ++i) m.at(t, i) = 0;
    const Matrix u = linear(norm(m, name + "pre_layer_norm.weight"), w(name + "linear_start.weight"));
    const std::vector<float>& kernel = w(name + "depthwise_conv1d.weight").values;
    const int64_t size = c.conv_kernel_size;
    Matrix y(m.rows, m.cols);
    for (int64_t t = 0; t < m.rows; ++t)
      for (int64_t i = 0; i < m.cols; ++i)
        for (int64_t j = 0; j < size; ++j)
          if (const int64_t s = t - size + 1 + j; s >= 0)
            y.at(t, i) += kernel[static_cast<size_t>(i * size + j)] * u.at(s, i) * sigmoid(u.at(s, m.cols + i));
    return add(m, linear(silu(norm(y, name + "conv_norm.weight")), w(name + "linear_end.weight")), 1);
  }

  Matrix block(Matrix x, const std::string& name, const std::vector<uint8_t>& padding) const {
    x = half_step(x, name + "ffw_layer_start");
    const Matrix a = attention(norm(x, name + "attention.pre_attn_norm.weight"), name + "attention.attn.", padding);
    x = add(x, norm(linear(a, w(name + "attention.post.weight")), name + "attention.post_norm.weight"), 1);
    x = light_conv(x, name + "lconv1d.", padding);
    return norm(half_step(x, name + "ffw_layer_end"), name + "norm.weight");
  }

  Matrix embed(const Matrix& x, const std::string& which) const {
    return norm(linear(norm(x, "embed_audio." + which + "_embedding_norm.weight"),
                       w("embed_audio.embedding_projection.weight")),
                nullptr);
  }
};

}  // namespace

ReferenceOutput reference_tower(const AudioConfig& config, const TensorMap& weights, const Matrix& log_mel,
                                const std::vector<uint8_t>& valid, const ReferenceOptions& options) {
  const Reference ref{config, weights, options};
  Matrix x = ref.sub_sample(log_mel);
  int64_t stride = 1;
  for (const SscpConv& conv : config.convs) stride *= conv.stride_frames;
  std::vector<uint8_t> padding;
  for (int64_t t = 0; t < x.rows; ++t)
    padding.push_back(!valid[static_cast<size_t>(std::min(t * stride, log_mel.rows - 1))]);
  for (int64_t i = 0; i < config.layers; ++i)
    x = ref.block(x, "audio_tower.conformer." + std::to_string(i) + ".", padding);

  ReferenceOutput out;
  out.encoded = Matrix((x.rows + config.reduction_factor - 1) / config.reduction_factor, config.hidden);
  Matrix last(1, config.hidden);
  for (int64_t i = 0; i < config.hidden; ++i)
    last.at(0, i) =
        ref.w("embed_audio.embedding.weight").values[static_cast<size_t>((config.vocab_size - 1) * config.hidden + i)];
  const Matrix pad = ref.embed(last, "hard");
  for (int64_t a = 0; a < out.encoded.rows; ++a)
    for (int64_t i = 0; i < config.hidden && !padding[static_cast<size_t>(a * config.reduction_factor)]; ++i)
      out.encoded.at(a, i) = x.at(a * config.reduction_factor, i);
  const Matrix soft = ref.embed(out.encoded, "soft");
  out.soft_tokens = Matrix(config.soft_tokens, config.text_hidden);
  for (int64_t a = 0; a < config.soft_tokens; ++a) {
    const bool own = a < soft.rows && !padding[static_cast<size_t>(a * config.reduction_factor)];
    for (int64_t i = 0; i < config.text_hidden; ++i) out.soft_tokens.at(a, i) = own ? soft.at(a, i) : pad.at(0, i);
  }
  return out;
}

}  // namespace g3n::testing
