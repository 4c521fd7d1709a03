#include "vision/reference_tower.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/dtype.h"

namespace g3n::testing {
namespace {

struct Planes {
  int64_t c, h, w;
  std::vector<double> v;
  Planes(int64_t channels, int64_t height, int64_t width)
      : c(channels), h(height), w(width), v(static_cast<size_t>(channels * height * width)) {}
  double& at(int64_t k, int64_t y, int64_t x) { return v[static_cast<size_t>((k * h + y) * w + x)]; }
  double at(int64_t k, int64_t y, int64_t x) const { return v[static_cast<size_t>((k * h + y) * w + x)]; }
};

struct Tensor {
  std::vector<int64_t> shape;
  std::vector<double> v;
};

class Reference {
 public:
  explicit Reference(const TensorSource& tensors) : tensors_(tensors) {}

  bool has(const std::string& name) const { return tensors_.find(kTower + name) != nullptr; }
  Tensor get(const std::string& full_name) const {
    const TensorInfo& info = *tensors_.find(full_name);
    Tensor t{info.shape, {}};
    for (int64_t i = 0; i < info.bytes / 2; ++i)
      t.v.push_back(bf16_to_f32(reinterpret_cast<const bf16_t*>(info.data)[i]));
    return t;
  }

  // Full and depthwise convolutions alike, SAME padding.
  Planes conv(const Planes& x, const std::string& name, int64_t stride) const {
    const Tensor t = get(kTower + name);
    const int64_t k = t.shape.size() > 2 ? t.shape[2] : 1, per_group = t.shape[1], groups = x.c / per_group,
                  out_per_group = t.shape[0] / groups;
    Planes y(t.shape[0], (x.h + stride - 1) / stride, (x.w + stride - 1) / stride);
    const int64_t top = std::max<int64_t>((y.h - 1) * stride + k - x.h, 0) / 2,
                  left = std::max<int64_t>((y.w - 1) * stride + k - x.w, 0) / 2;
    for (int64_t o = 0; o < y.c; ++o)
      for (int64_t oy = 0; oy < y.h; ++oy)
        for (int64_t ox = 0; ox < y.w; ++ox)
          for (int64_t i = 0; i < per_group; ++i)
            for (int64_t ky = 0; ky < k; ++ky)
              for (int64_t kx = 0; kx < k; ++kx) {
                const int64_t iy = oy * stride + ky - top, ix = ox * stride + kx - left;
                if (iy < 0 || iy >= x.h || ix < 0 || ix >= x.w) continue;
                y.at(o, oy, ox) += x.at(o / out_per_group * per_group + i, iy, ix) *
                                   t.v[static_cast<size_t>(((o * per_group + i) * k + ky) * k + kx)];
              }
    return y;
  }
  Planes norm(Planes x, const std::string& name) const {
    const Tensor t = get(kTower + name);
    for (int64_t i = 0; i < x.h * x.w; ++i) {
      double sum = 0;
      for (int64_t k = 0; k < x.c; ++k) sum += std::pow(x.at(k, 0, i), 2);
      for (int64_t k = 0; k < x.c; ++k)
        x.at(k, 0, i) *= t.v[static_cast<size_t>(k)] / std::sqrt(sum / static_cast<double>(x.c) + 1e-6);
    }
    return x;
  }
  static Planes gelu(Planes x) {
    for (double& v : x.v) v = 0.5 * v * (1 + std::tanh(std::sqrt(2 / M_PI) * (v + 0.044715 * v * v * v)));
    return x;
  }

  Planes attention(const std::string& name, const Planes& x) const {
    const Planes n = norm(x, name + "norm.weight");
    auto side = [&](const std::string& which) {
      const std::string s = name + "attn." + which;
      return conv(has(s + "down_conv.weight") ? norm(conv(n, s + "down_conv.weight", 2), s + "norm.weight") : n,
                  s + "proj.weight", 1);
    };
    const Planes k = side("key."), v = side("value."), q = conv(n, name + "attn.query.proj.weight", 1);
    Planes o(q.c, q.h, q.w);
    const int64_t keys = k.h * k.w;
    for (int64_t head = 0; head < q.c / k.c; ++head)
      for (int64_t p = 0; p < q.h * q.w; ++p) {
        std::vector<double> a(static_cast<size_t>(keys));
        double sum = 0;
        for (int64_t m = 0; m < keys; ++m) {
          double s = 0;
          for (int64_t d = 0; d < k.c; ++d) s += q.at(head * k.c + d, 0, p) * k.at(d, 0, m);
          sum += a[static_cast<size_t>(m)] = std::exp(s / std::sqrt(static_cast<double>(k.c)));
        }
        for (int64_t d = 0; d < k.c; ++d)
          for (int64_t m = 0; m < keys; ++m)
            o.at(head * k.c + d, 0, p) += a[static_cast<size_t>(m)] / sum * v.at(d, 0, m);
      }
    return conv(o, name + "attn.output.proj.weight", 1);
  }

  Planes block(const std::string& name, const Planes& x, int64_t stride) const {
    Planes y = x;
    if (has(name + "conv_exp.weight")) {
      y = gelu(norm(conv(x, name + "conv_exp.weight", stride), name + "bn1.weight"));
      y = norm(conv(y, name + "conv_pwl.weight", 1), name + "bn2.weight");
    } else if (has(name + "attn.query.proj.weight")) {
      y = attention(name, x);
    } else {
      for (const std::string part : {"dw_start", "pw_exp", "dw_mid", "pw_proj"}) {
        if (!has(name + part + ".conv.weight")) continue;
        y = norm(conv(y, name + part + ".conv.weight", part == "dw_mid" ? stride : 1), name + part + ".bn.weight");
        if (part == "pw_exp" || part == "dw_mid") y = gelu(y);
      }
    }
    if (has(name + "layer_scale.gamma")) {
      const Tensor gamma = get(kTower + name + "layer_scale.gamma");
      for (int64_t k = 0; k < y.c; ++k)
        for (int64_t i = 0; i < y.h * y.w; ++i) y.at(k, 0, i) *= gamma.v[static_cast<size_t>(k)];
    }
    if (stride == 1 && y.c == x.c)
      for (size_t i = 0; i < y.v.size(); ++i) y.v[i] += x.v[i];
    return y;
  }

  static Planes resize(const Planes& x, int64_t side) {
    Planes y(x.c, side, side);
    const bool pool = x.h % side == 0 && x.w % side == 0;
    for (int64_t k = 0; k < x.c; ++k)
      for (int64_t oy = 0; oy < side; ++oy)
        for (int64_t ox = 0; ox < side; ++ox) {
          if (pool) {
            const int64_t ph = x.h / side, pw = x.w / side;
            for (int64_t i = 0; i < ph * pw; ++i)
              y.at(k, oy, ox) += x.at(k, oy * ph + i / pw, ox * pw + i % pw) / static_cast<double>(ph * pw);
            continue;
          }
          const double fy = std::max(
              0.0, (static_cast<double>(oy) + 0.5) * static_cast<double>(x.h) / static_cast<double>(side) - 0.5);
          const double fx = std::max(
              0.0, (static_cast<double>(ox) + 0.5) * static_cast<double>(x.w) / static_cast<double>(side) - 0.5);
          for (int64_t dy = 0; dy < 2; ++dy)
            for (int64_t dx = 0; dx < 2; ++dx) {
              const int64_t iy = static_cast<int64_t>(fy), ix = static_cast<int64_t>(fx);
              const double wy = fy - static_cast<double>(iy), wx = fx - static_cast<double>(ix);
              y.at(k, oy, ox) += (dy ? wy : 1 - wy) * (dx ? wx : 1 - wx) *
                                 x.at(k, std::min(iy + dy, x.h - 1), std::min(ix + dx, x.w - 1));
            }
        }
    return y;
  }

  Planes features(const Planes& pixels, int64_t side) const {
    Planes x = conv(pixels, "conv_stem.conv.weight", 2);
    if (has("conv_stem.conv.bias")) {
      const Tensor bias = get(kTower + "conv_stem.conv.bias");
      for (int64_t k = 0; k < x.c; ++k)
        for (int64_t i = 0; i < x.h * x.w; ++i) x.at(k, 0, i) += bias.v[static_cast<size_t>(k)];
    }
    x = gelu(norm(x, "conv_stem.bn.weight"));
    Planes fine = x;
    for (int64_t stage = 0; stage < 4; ++stage) {
      for (int64_t index = 0;; ++index) {
        const std::string name = "blocks." + std::to_string(stage) + "." + std::to_string(index) + ".";
        if (!has(name + "conv_exp.weight") && !has(name + "pw_exp.conv.weight") && !has(name + "norm.weight")) break;
        x = block(name, x, index == 0 ? 2 : 1);
      }
      if (stage == 2) fine = x;
    }
    Planes u(fine.c + x.c, fine.h, fine.w);
    for (int64_t k = 0; k < u.c; ++k)
      for (int64_t y = 0; y < u.h; ++y)
        for (int64_t c = 0; c < u.w; ++c)
          u.at(k, y, c) = k < fine.c ? fine.at(k, y, c) : x.at(k - fine.c, y * x.h / u.h, c * x.w / u.w);
    u = gelu(norm(conv(u, "msfa.ffn.pw_exp.conv.weight", 1), "msfa.ffn.pw_exp.bn.weight"));
    u = norm(conv(u, "msfa.ffn.pw_proj.conv.weight", 1), "msfa.ffn.pw_proj.bn.weight");
    return norm(resize(u, side), "msfa.norm.weight");
  }

 private:
  const std::string kTower = "model.vision_tower.timm_model.";
  const TensorSource& tensors_;
};

void rms_norm(std::vector<double>& v) {
  double sum = 0;
  for (double x : v) sum += x * x;
  for (double& x : v) x /= std::sqrt(sum / static_cast<double>(v.size()) + 1e-6);
}

}  // namespace

std::vector<double> reference_soft_tokens(const TensorSource& tensors, const std::vector<float>& pixels, int64_t h,
                                          int64_t w, int64_t resolution) {
  const Reference reference(tensors);
  Planes image(3, h, w);
  for (int64_t i = 0; i < h * w * 3; ++i) image.at(i % 3, 0, i / 3) = pixels[static_cast<size_t>(i)];
  const Planes map = reference.features(image, resolution);
  const Tensor weight = reference.get("model.embed_vision.soft_embedding_norm.weight"),
               projection = reference.get("model.embed_vision.embedding_projection.weight");
  std::vector<double> tokens;
  for (int64_t t = 0; t < resolution * resolution; ++t) {
    std::vector<double> v, out;
    for (int64_t k = 0; k < map.c; ++k) v.push_back(map.at(k, 0, t) * std::sqrt(static_cast<double>(map.c)));
    rms_norm(v);
    for (int64_t o = 0; o < projection.shape[0]; ++o) {
      double sum = 0;
      for (int64_t k = 0; k < map.c; ++k)
        sum += v[static_cast<size_t>(k)] * weight.v[static_cast<size_t>(k)] *
               projection.v[static_cast<size_t>(o * map.c + k)];
      out.push_back(sum);
    }
    rms_norm(out);
    tokens.insert(tokens.end(), out.begin(), out.end());
  }
  return tokens;
}

}  // namespace g3n::testing
