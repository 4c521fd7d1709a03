#include "tools/hash_weights.h"

#include <array>
#include <cmath>
#include <cstring>
#include <string_view>

namespace g3n {
namespace {

constexpr uint64_t kGoldenGamma = 0x9e3779b97f4a7c15u;

struct OffsetAndScale {
  double offset, scale;
};

// The first rule that fits the name; the patterns of hash_weights.py: offset_and_scale, all anchored at the end of the
// name.
OffsetAndScale offset_and_scale(std::string_view name, double fan_in, double ple_size) {
  const double unit = std::sqrt(3.0 / fan_in);  // uniform with variance 1 / fan_in
  const auto ends = [name](std::string_view ending) { return name.ends_with(ending); };
  if (ends("self_attn.q_norm.weight") || ends("self_attn.k_norm.weight")) return {0.25, 0.0625};
  if (ends(".weight")) {  // (norm|bn\d?|layernorm)\.weight
    std::string_view stem = name.substr(0, name.size() - 7);
    if (stem.ends_with("norm") || stem.ends_with("bn")) return {1.0, 0.25};
    if (!stem.empty() && stem.back() >= '0' && stem.back() <= '9' && stem.substr(0, stem.size() - 1).ends_with("bn"))
      return {1.0, 0.25};
  }
  if (ends("embed_tokens_per_layer.weight")) return {0.0, std::sqrt(3.0 / ple_size)};
  if (ends("embed_vision.embedding.weight") || ends("embed_audio.embedding.weight")) return {0.0, std::sqrt(3.0)};
  if (ends("altup.prediction_coefs.weight") || ends("altup.correction_coefs.weight")) return {0.0, 0.25};
  if (ends("altup.modality_router.weight")) return {0.0, fan_in * unit};
  if (ends("altup.correct_output_scale")) return {1.0, 0.25};
  if (ends("per_dim_scale")) return {0.0, 1.0};
  if (ends("layer_scale.gamma")) return {0.25, 0.125};
  if (ends("conv_stem.conv.bias")) return {0.0, 0.125};
  return {0.0, unit};
}

uint64_t fnv1a64(std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : name) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3u;
  return hash;
}

constexpr std::array<uint32_t, 256> crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = value & 1 ? 0xedb88320u ^ (value >> 1) : value >> 1;
    table[i] = value;
  }
  return table;
}

}  // namespace

HashTensor::HashTensor(const std::string& name, const std::vector<int64_t>& shape, int64_t ple_size)
    : seed_(fnv1a64(name)), count_(1) {
  int64_t fan_in = 1;
  for (size_t i = 0; i < shape.size(); ++i) {
    count_ *= shape[i];
    if (i > 0) fan_in *= shape[i];
  }
  const OffsetAndScale rule = offset_and_scale(name, static_cast<double>(fan_in), static_cast<double>(ple_size));
  offset_ = static_cast<float>(rule.offset);
  scale_ = static_cast<float>(rule.scale);
}

void HashTensor::fill(int64_t first, int64_t n, bf16_t* out) const {
  uint64_t counter = seed_ + static_cast<uint64_t>(first) * kGoldenGamma;
  for (int64_t i = 0; i < n; ++i) {
    uint64_t z = counter += kGoldenGamma;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    const float u = static_cast<float>(static_cast<int32_t>(z >> 40)) * 0x1p-23f - 1.0f;
    const float value = scale_ * u + offset_;  // two roundings: built with -ffp-contract=off
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    out[i] = static_cast<bf16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
  }
}

void fill_hash_tensor(ThreadPool& pool, const HashTensor& tensor, bf16_t* out) {
  pool.parallel_for(tensor.count(), int64_t{1} << 18,
                    [&](int64_t begin, int64_t end) { tensor.fill(begin, end - begin, out + begin); });
}

uint32_t crc32(const void* data, size_t size) {
  static constexpr std::array<uint32_t, 256> kTable = crc_table();
  const uint8_t* bytes = static_cast<const uint8_t*>(data);
  uint32_t crc = 0xffffffffu;
  for (size_t i = 0; i < size; ++i) crc = kTable[(crc ^ bytes[i]) & 0xff] ^ (crc >> 8);
  return ~crc;
}

}  // namespace g3n
