// Products of the reference table with single neurons in codes.
#include <algorithm>
#include <cmath>

#include "core/weight.h"
#include "kernels/iq4_values.h"
#include "kernels/quant/super_blocks.h"
#include "kernels/reference/reference.h"

namespace g3n::reference {
namespace {

// Signed code i of a row of codes: a row of kRows, or one neuron of kNeurons.
struct Q8Codes {
  static constexpr DType kType = DType::kQ8_0;
  static int code(const std::byte* codes, int64_t i) { return static_cast<int8_t>(codes[i]); }
};
struct Q4Codes {
  static constexpr DType kType = DType::kQ4_0;
  static int code(const std::byte* codes, int64_t i) {
    const int both = static_cast<int>(codes[i / 64 * 32 + i % 32]);
    return (i % 64 < 32 ? both & 15 : both >> 4) - 8;
  }
};

template <typename Codes>
void neuron_dot(const QuantNeuronDot& d) {
  for (int64_t i = 0; i < d.count; ++i) {
    const std::byte* codes = static_cast<const std::byte*>(d.weight) + d.neurons[i] * d.step;
    const auto* scales = reinterpret_cast<const uint16_t*>(codes + code_bytes(Codes::kType, d.cols));
    const int8_t* x = d.x.codes + d.rows[i] * d.x.code_step;
    const float* x_scales = d.x.scales + d.rows[i] * (d.x.code_step / 32);
    Lanes sum;
    for (int64_t b = 0; b < d.cols / 32; ++b)
      for (int64_t four = 0; four < 8; ++four) {
        int products = 0;
        for (int64_t k = b * 32 + four * 4; k < b * 32 + four * 4 + 4; ++k) products += Codes::code(codes, k) * x[k];
        float& lane = sum.lane[b % 2 * 8 + four];
        lane = std::fma(x_scales[b] * f16_to_f32(scales[b]), static_cast<float>(products), lane);
      }
    d.out[i] = sum.sum();
  }
}

template <typename Codes>
void neuron_sum(const QuantNeuronSum& s) {
  const auto* scales = static_cast<const uint16_t*>(s.group);
  const std::byte* codes = static_cast<const std::byte*>(s.group) + s.outputs * 2;
  const int64_t step = code_bytes(Codes::kType, s.outputs);
  const NeuronPair* pair = s.pairs;
  for (int64_t i = 0; i < s.count; pair += s.live[i++].pairs)
    for (int64_t c = s.first; c < s.first + s.width; ++c) {
      int sum = 0;
      for (int32_t p = 0; p < s.live[i].pairs; ++p)
        sum += pair[p].a_code * Codes::code(codes + pair[p].a * step, c) +
               pair[p].b_code * Codes::code(codes + pair[p].b * step, c);
      float& out = s.out[s.live[i].row * s.out_step + c - s.first];
      out = std::fma(s.live[i].scale * f16_to_f32(scales[c]), static_cast<float>(sum), out);
    }
}

// One block of 32 inputs of a row of blocks as a file has them. Two scales: of its halves.
struct RowBlock {
  float scale[2], minimum;
  int codes[32];
};
class BlockRow {
 public:
  BlockRow(DType dtype, const void* row) : dtype_(dtype), row_(static_cast<const std::byte*>(row)) {}
  RowBlock at(int64_t b) {
    const int64_t blocks = dtype_facts(dtype_).block_values / 32, j = b % blocks;  // of a block of the file
    if (b / blocks != loaded_) quant::read_super_block(dtype_, row_ + b / blocks * dtype_bytes(dtype_), block_);
    loaded_ = b / blocks;
    const float d = f16_to_f32(block_.d), dmin = f16_to_f32(block_.dmin);
    RowBlock out{};
    for (int half = 0; half < 2; ++half) {
      const uint8_t bits = block_.scales[dtype_ == DType::kQ6_K ? 2 * j + half : j];
      const float scale = static_cast<float>(has_minima(dtype_) ? bits : static_cast<int8_t>(bits));
      out.scale[half] = blocks == 1 ? d : d * scale;
    }
    if (has_minima(dtype_)) out.minimum = blocks == 1 ? dmin : dmin * static_cast<float>(block_.minima[j]);
    for (int64_t i = 0; i < 32; ++i) out.codes[i] = meaning(dtype_, block_.codes[32 * j + i]);
    return out;
  }
  static bool has_minima(DType dtype) {
    return dtype == DType::kQ4_1 || dtype == DType::kQ5_1 || dtype == DType::kQ4_K || dtype == DType::kQ5_K;
  }
  // The number that a code stands for.
  static int meaning(DType dtype, int code) {
    switch (dtype) {
      case DType::kQ6_K: return code - 32;
      case DType::kQ5_0: return code - 16;
      case DType::kIQ4_NL:
      case DType::kIQ4_XS: return kIq4Values[code];
      default: return code;
    }
  }

 private:
  DType dtype_;
  const std::byte* row_;
  quant::SuperBlock block_;
  int64_t loaded_ = -1;
};

template <DType dtype>
void block_neuron_dot(const QuantNeuronDot& d) {
  for (int64_t i = 0; i < d.count; ++i) {
    BlockRow row(dtype, static_cast<const std::byte*>(d.weight) + d.neurons[i] * d.step);
    const int8_t* x = d.x.codes + d.rows[i] * d.x.code_step;
    const int64_t first = d.rows[i] * (d.x.code_step / 32);
    Lanes sum, minima;
    for (int64_t b = 0; b < d.cols / 32; ++b) {
      const RowBlock block = row.at(b);
      for (int64_t four = 0; four < 8; ++four) {
        int products = 0;
        for (int64_t k = four * 4; k < four * 4 + 4; ++k) products += block.codes[k] * x[b * 32 + k];
        float& lane = sum.lane[b % 2 * 8 + four];
        lane = std::fma(d.x.scales[first + b] * block.scale[four / 4], static_cast<float>(products), lane);
      }
      if (BlockRow::has_minima(dtype))
        minima.lane[b % 16] = std::fma(d.x.minima[first + b], block.minimum, minima.lane[b % 16]);
    }
    d.out[i] = BlockRow::has_minima(dtype) ? sum.sum() + minima.sum() : sum.sum();
  }
}

// Unsigned code of a neuron of a group for an output, from its nibble and `high` bits beyond (core/weight.h). codes: of
// the group's first neuron.
int neuron_code(const std::byte* codes, int64_t outputs, int high, int64_t neuron, int64_t c) {
  const int both = static_cast<int>(codes[neuron * (outputs / 2) + c / 64 * 32 + c % 32]);
  const int low = c % 64 < 32 ? both & 15 : both >> 4;
  if (high == 0) return low;
  const int64_t chunk = 128 / high, shift = c % chunk / 16 * high;
  const std::byte* bits = codes + 32 * (outputs / 2) + neuron * (outputs * high / 8) + c / chunk * 16 + c % 16;
  return low | (static_cast<int>(*bits) >> shift & ((1 << high) - 1)) << 4;
}

// kParts: of 32 neurons, with a scale each. Types with blocks of 32 have their scales in the group, super-blocks f16
// factors before it.
template <DType dtype, int kHigh, int kParts>
void block_neuron_sum(const QuantNeuronSum& s) {
  constexpr bool kSuper = dtype_facts(dtype).block_values == 256;
  const bool minima = BlockRow::has_minima(dtype);
  const auto* d = static_cast<const uint16_t*>(kSuper ? s.head : s.group);
  const auto* scales = static_cast<const int8_t*>(s.group);
  const int64_t planes = kSuper ? (dtype == DType::kIQ4_XS ? 1 : 2) : minima ? 4 : 2;  // bytes of an output
  const std::byte* codes = static_cast<const std::byte*>(s.group) + s.outputs * planes;
  const auto factor = [&](int plane, int sub_plane, int64_t c) {
    const float f16 = f16_to_f32(d[plane * s.outputs + c]);
    return kSuper ? f16 * static_cast<float>(scales[sub_plane * s.outputs + c]) : f16;
  };
  const auto code = [&](int64_t neuron, int64_t c) {
    return BlockRow::meaning(dtype, neuron_code(codes, s.outputs, kHigh, neuron, c));
  };
  const NeuronPair* pair = s.pairs;
  for (int64_t i = 0; i < s.count; pair += s.live[i++].pairs)
    for (int64_t c = s.first; c < s.first + s.width; ++c) {
      const LiveRow& live = s.live[i];
      float& out = s.out[live.row * s.out_step + c - s.first];
      for (int part = 0; part < kParts; ++part) {
        int sum = 0, codes_sum = 0, pairs = 0;
        for (int32_t p = 0; p < live.pairs; ++p) {
          if (pair[p].a * kParts / 32 != part) continue;
          sum += pair[p].a_code * code(pair[p].a, c) + pair[p].b_code * code(pair[p].b, c);
          codes_sum += pair[p].a_code + pair[p].b_code, ++pairs;
        }
        if (pairs == 0) continue;
        out = std::fma(live.scale * factor(0, part, c), static_cast<float>(sum), out);
        if (minima) out = std::fma(live.scale * static_cast<float>(-codes_sum), factor(1, 1, c), out);
      }
    }
}

}  // namespace

int64_t live_masks(const float* x, int64_t n, uint32_t* masks, int64_t step) {
  for (int64_t g = 0; g * 32 < n; ++g) {
    masks[g * step] = 0;
    for (int64_t i = g * 32; i < std::min(n, g * 32 + 32); ++i) masks[g * step] |= uint32_t{x[i] != 0.0f} << i % 32;
  }
  return std::count_if(x, x + n, [](float v) { return v != 0.0f; });
}
void neuron_dot_q8(const QuantNeuronDot& d) { neuron_dot<Q8Codes>(d); }
void neuron_dot_q4(const QuantNeuronDot& d) { neuron_dot<Q4Codes>(d); }
void neuron_sum_q8(const QuantNeuronSum& s) { neuron_sum<Q8Codes>(s); }
void neuron_sum_q4(const QuantNeuronSum& s) { neuron_sum<Q4Codes>(s); }
void neuron_dot_q4_1(const QuantNeuronDot& d) { block_neuron_dot<DType::kQ4_1>(d); }
void neuron_dot_q5_0(const QuantNeuronDot& d) { block_neuron_dot<DType::kQ5_0>(d); }
void neuron_dot_q5_1(const QuantNeuronDot& d) { block_neuron_dot<DType::kQ5_1>(d); }
void neuron_sum_q4_1(const QuantNeuronSum& s) { block_neuron_sum<DType::kQ4_1, 0, 1>(s); }
void neuron_sum_q5_0(const QuantNeuronSum& s) { block_neuron_sum<DType::kQ5_0, 1, 1>(s); }
void neuron_sum_q5_1(const QuantNeuronSum& s) { block_neuron_sum<DType::kQ5_1, 1, 1>(s); }
void neuron_dot_q4k(const QuantNeuronDot& d) { block_neuron_dot<DType::kQ4_K>(d); }
void neuron_dot_q5k(const QuantNeuronDot& d) { block_neuron_dot<DType::kQ5_K>(d); }
void neuron_dot_q6k(const QuantNeuronDot& d) { block_neuron_dot<DType::kQ6_K>(d); }
void neuron_dot_iq4nl(const QuantNeuronDot& d) { block_neuron_dot<DType::kIQ4_NL>(d); }
void neuron_dot_iq4xs(const QuantNeuronDot& d) { block_neuron_dot<DType::kIQ4_XS>(d); }
void neuron_sum_q4k(const QuantNeuronSum& s) { block_neuron_sum<DType::kQ4_K, 0, 1>(s); }
void neuron_sum_q5k(const QuantNeuronSum& s) { block_neuron_sum<DType::kQ5_K, 1, 1>(s); }
void neuron_sum_q6k(const QuantNeuronSum& s) { block_neuron_sum<DType::kQ6_K, 2, 2>(s); }
void neuron_sum_iq4nl(const QuantNeuronSum& s) { block_neuron_sum<DType::kIQ4_NL, 0, 1>(s); }
void neuron_sum_iq4xs(const QuantNeuronSum& s) { block_neuron_sum<DType::kIQ4_XS, 0, 1>(s); }

}  // namespace g3n::reference
