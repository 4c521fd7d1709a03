// A binder that fills every weight with numbers drawn from its name, and keeps them for the reference. Nothing is read
// from a file.
#pragma once
#include <cmath>
#include <cstring>
#include <vector>

#include "audio/reference_tower.h"
#include "core/rng.h"
#include "kernels/pack.h"
#include "weights/binder.h"

namespace g3n::testing {

// Where the extremes come from: conv kernels with a mean, per_dim_scale far from 0.
struct RandomOptions {
  float conv_offset = 0.0f;
  float per_dim_scale = 1.0f;
  DType matrices = DType::kF32;  // kBF16: rounded, and the reference gets the rounded values
};

class RandomWeights : public Binder {
 public:
  RandomWeights(ThreadPool& pool, const RandomOptions& options) : pool_(pool), options_(options) {}
  const TensorMap& tensors() const { return tensors_; }
  Shape shape_of(const std::string&) const override { return {}; }

 private:
  static int64_t count(const Shape& shape, size_t first = 0) {
    int64_t n = 1;
    for (size_t i = first; i < shape.size(); ++i) n *= shape[i];
    return n;
  }
  static bool ends_with(const std::string& name, const std::string& end) {
    return name.size() >= end.size() && name.ends_with(end);
  }

  std::vector<float>& draw(const std::string& name, const Shape& shape, bool bf16) {
    Tensor& tensor = tensors_[name];
    tensor.shape = shape;
    uint64_t seed = 14695981039346656037u;
    for (char c : name) seed = (seed ^ static_cast<uint8_t>(c)) * 1099511628211u;
    float offset = 0, scale = std::sqrt(3.0f / static_cast<float>(count(shape, shape.size() > 1 ? 1 : 0)));
    if (ends_with(name, "norm.weight")) offset = 1, scale = 0.25f;
    if (ends_with(name, "embedding.weight")) scale = 1.7f;
    if (ends_with(name, ".conv.weight")) offset = options_.conv_offset;
    if (ends_with(name, "per_dim_scale")) offset = options_.per_dim_scale - 1, scale = 1;
    for (int64_t i = 0; i < count(shape); ++i) {
      const float value = offset + scale * static_cast<float>(2 * uniform01(seed, static_cast<uint64_t>(i)) - 1);
      tensor.values.push_back(bf16 ? bf16_to_f32(f32_to_bf16(value)) : value);
    }
    return tensor.values;
  }
  float* keep(int64_t n) { return small_.emplace_back(n).data(); }

  void on_matrix(const std::string& name, WeightView& member, const Shape& shape, Layout layout) override {
    const std::vector<float>& values = draw(name, shape, options_.matrices == DType::kBF16);
    const int64_t rows = shape[0], channels = shape.size() > 1 ? shape[1] : 1, taps = count(shape, 2);
    std::vector<float> ordered(values.size());  // [out, in, taps] to [out, taps, in]
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < channels; ++c)
        for (int64_t t = 0; t < taps; ++t)
          ordered[static_cast<size_t>((r * taps + t) * channels + c)] =
              values[static_cast<size_t>((r * channels + c) * taps + t)];
    member = {.dtype = options_.matrices, .layout = layout, .rows = rows, .cols = channels * taps};
    member.step_bytes = packed_step_bytes(member.dtype, layout, rows, member.cols);
    std::byte* packed = packed_.emplace_back(packed_bytes(member.dtype, layout, rows, member.cols)).data();
    pack_weight(pool_, {DType::kF32, reinterpret_cast<const std::byte*>(ordered.data())}, member, packed);
    member.data = packed;
  }
  void on_vector(const std::string& name, View<const float, 1>& member, const Shape& shape, bool) override {
    const std::vector<float>& values = draw(name, shape, false);
    float* data = keep(shape[0]);
    std::memcpy(data, values.data(), values.size() * sizeof(float));
    member = {data, {shape[0]}};
  }
  void on_depthwise(const std::string& name, View<const float, 2>& member, const Shape& shape) override {
    const std::vector<float>& values = draw(name, shape, false);
    const int64_t channels = shape[0], taps = count(shape, 1);
    float* data = keep(channels * taps);
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t t = 0; t < taps; ++t) data[t * channels + c] = values[static_cast<size_t>(c * taps + t)];
    member = {data, {taps, channels}};
  }
  void on_table(const std::string& name, TableView& member, const Shape& shape) override {
    const std::vector<float>& values = draw(name, shape, false);
    member = {.dtype = DType::kF32,
              .rows = shape[0],
              .cols = shape[1],
              .data = reinterpret_cast<const std::byte*>(values.data())};
  }
  void on_ignored(const std::string&, const Shape&) override {}

  ThreadPool& pool_;
  RandomOptions options_;
  TensorMap tensors_;
  std::vector<Buffer<std::byte>> packed_;
  std::vector<Buffer<float>> small_;
};

}  // namespace g3n::testing
