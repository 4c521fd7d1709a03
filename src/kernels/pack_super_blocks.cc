#include "kernels/pack_super_blocks.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <string>

#include "g3n/error.h"
#include "kernels/iq4_values.h"
#include "kernels/quant/super_blocks.h"

namespace g3n {
namespace {

using quant::SuperBlock;

// Bytes of scales before the codes of a super-block.
int64_t head_bytes(DType dtype) { return (dtype == DType::kIQ4_XS ? 3 : 5) * 64; }

// High bits of a code beyond its nibble.
int high_bits(DType dtype) {
  switch (dtype) {
    case DType::kQ6_K: return 2;
    case DType::kQ5_0:
    case DType::kQ5_1:
    case DType::kQ5_K: return 1;
    default: return 0;
  }
}
// f16 numbers of a block of the file: a scale, or a scale and a minimum.
int halves(DType dtype) {
  switch (dtype) {
    case DType::kQ4_1:
    case DType::kQ5_1:
    case DType::kQ4_K:
    case DType::kQ5_K: return 2;
    default: return 1;
  }
}
bool has_small_blocks(DType dtype) { return dtype_facts(dtype).block_values == 32; }

// The lines of scales of 16 outputs.
void put_scales(DType dtype, const SuperBlock (&rows)[16], std::byte* out) {
  for (int64_t lane = 0; lane < 16; ++lane) {
    const SuperBlock& row = rows[lane];
    if (dtype == DType::kQ6_K || dtype == DType::kIQ4_XS) {
      const float d = f16_to_f32(row.d);
      std::memcpy(out + lane * 4, &d, 4);
      for (int64_t s = 0; s < (head_bytes(dtype) - 64) / 16; ++s) out[64 + s * 16 + lane] = std::byte{row.scales[s]};
    } else {
      std::memcpy(out + lane * 2, &row.d, 2);
      std::memcpy(out + 32 + lane * 2, &row.dmin, 2);
      for (int64_t j = 0; j < 8; ++j) {
        out[64 + j * 32 + lane] = std::byte{row.scales[j]};
        out[64 + j * 32 + 16 + lane] = std::byte{row.minima[j]};
      }
    }
  }
}

// The code lines of one block of 16 outputs: nibbles, two lines of 4 inputs side by side, then the high bits of all.
template <int kHigh>
void put_codes(const SuperBlock (&rows)[16], int64_t block, std::byte* out) {
  for (int64_t lane = 0; lane < 16; ++lane) {
    const uint8_t* codes = rows[lane].codes + block * 32;
    uint8_t bytes[4 + kHigh][4] = {};
    for (int line = 0; line < 8; ++line)
      for (int i = 0; i < 4; ++i) {
        const int code = codes[line * 4 + i];
        bytes[line / 2][i] = static_cast<uint8_t>(bytes[line / 2][i] | (code & 15) << line % 2 * 4);
        if constexpr (kHigh > 0) {
          uint8_t& high = bytes[4 + line * kHigh / 8][i];
          high = static_cast<uint8_t>(high | code >> 4 << line * kHigh % 8);
        }
      }
    for (int64_t line = 0; line < 4 + kHigh; ++line) std::memcpy(out + line * 64 + lane * 4, bytes[line], 4);
  }
}
void put_codes(DType dtype, const SuperBlock (&rows)[16], int64_t block, std::byte* out) {
  switch (high_bits(dtype)) {
    case 0: return put_codes<0>(rows, block, out);
    case 1: return put_codes<1>(rows, block, out);
    default: return put_codes<2>(rows, block, out);
  }
}

void pack_panels(ThreadPool& pool, const PackSource& source, const WeightView& view, std::byte* out) {
  const PanelGroup group = panel_group(view.dtype);
  const int64_t row_bytes = dtype_bytes(view.dtype, view.cols), block_bytes = (4 + high_bits(view.dtype)) * 64;
  pool.parallel_for((view.rows + kPanelRows - 1) / kPanelRows, 1, [&](int64_t begin, int64_t end) {
    SuperBlock rows[kPanelRows];
    for (int64_t panel = begin; panel < end; ++panel)
      for (int64_t g = 0; g < view.cols / group.cols; ++g) {
        std::byte* to = out + panel * view.step_bytes + g * group.bytes;
        for (int64_t lane = 0; lane < kPanelRows; ++lane) {
          const int64_t row = panel * kPanelRows + lane;
          if (row < view.rows)
            quant::read_super_block(view.dtype, source.data + row * row_bytes + g * dtype_bytes(view.dtype),
                                    rows[lane]);
          else
            rows[lane] = {};
        }
        put_scales(view.dtype, rows, to);
        for (int64_t block = 0; block < 8; ++block)
          put_codes(view.dtype, rows, block, to + head_bytes(view.dtype) + block * block_bytes);
      }
  });
}

// Types with blocks of 32: two stand together, behind their scales (and minima).
void pack_panels_of_pairs(ThreadPool& pool, const PackSource& source, const WeightView& view, std::byte* out) {
  const PanelGroup group = panel_group(view.dtype);
  const int64_t blocks = view.cols / 32, code_bytes = (4 + high_bits(view.dtype)) * 64,
                scale_bytes = 32 * halves(view.dtype);
  pool.parallel_for((view.rows + kPanelRows - 1) / kPanelRows, 1, [&](int64_t begin, int64_t end) {
    SuperBlock rows[kPanelRows];
    for (int64_t panel = begin; panel < end; ++panel)
      for (int64_t b = 0; b < round_up(blocks, 2); ++b) {
        std::byte* pair = out + panel * view.step_bytes + b / 2 * group.bytes;
        std::byte* scales = pair + b % 2 * scale_bytes;
        for (int64_t lane = 0; lane < kPanelRows; ++lane) {
          const int64_t row = panel * kPanelRows + lane;
          rows[lane] = {};
          if (row < view.rows && b < blocks)
            quant::read_super_block(view.dtype, source.data + (row * blocks + b) * dtype_bytes(view.dtype), rows[lane]);
          std::memcpy(scales + lane * 2, &rows[lane].d, 2);
          if (halves(view.dtype) == 2) std::memcpy(scales + 32 + lane * 2, &rows[lane].dmin, 2);
        }
        put_codes(view.dtype, rows, 0, pair + 2 * scale_bytes + b % 2 * code_bytes);
      }
  });
}

// ---- neurons

// Where the parts of the neurons that stand together lie, in bytes from their begin (core/weight.h): planes of f16,
// then groups of 32, which in super-blocks begin with planes of bytes.
struct NeuronPlaces {
  int64_t outputs, high;  // padded; high bits of a code
  int64_t planes;         // of scales in a group of 32 neurons, a byte for each output
  int64_t group, group_step, codes, high_bits;
  explicit NeuronPlaces(const WeightView& view)
      : outputs(round_up(view.rows, kNeuronOutputs)),
        high(::g3n::high_bits(view.dtype)),
        planes(has_small_blocks(view.dtype)   ? 0
               : view.dtype == DType::kIQ4_XS ? 1
                                              : 2),
        group(outputs * 2 * halves(view.dtype)),
        group_step(outputs * neuron_group(view.dtype).group_bytes),
        codes(outputs * planes),
        high_bits(codes + 32 * (outputs / 2)) {}
  int64_t group_at(int64_t g) const { return group + g * group_step; }
  // From a group on: the byte with the nibble of a neuron's code for an output, and with its high bits, which begin at
  // bit `shift`.
  int64_t nibble(int64_t neuron, int64_t output) const {
    return codes + neuron * (outputs / 2) + output / 64 * 32 + output % 32;
  }
  struct Bits {
    int64_t byte, shift;
  };
  Bits bits(int64_t neuron, int64_t output) const {
    const int64_t per_chunk = 128 / high;  // outputs whose bits 16 bytes hold
    return {high_bits + neuron * (outputs * high / 8) + output / per_chunk * 16 + output % 16,
            output % per_chunk / 16 * high};
  }
};

// One such group of neurons: 64 outputs are read, then turned round.
void pack_neuron_group(const PackSource& source, const WeightView& view, int64_t g, std::byte* to) {
  const NeuronPlaces places(view);
  const int64_t row_bytes = dtype_bytes(view.dtype, view.cols), block_bytes = dtype_bytes(view.dtype);
  std::memset(to, 0, static_cast<size_t>(view.step_bytes));
  SuperBlock rows[64];
  for (int64_t first = 0; first < view.rows; first += 64) {
    const int64_t count = std::min<int64_t>(64, view.rows - first);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t row = first + i;
      SuperBlock& r = rows[i];
      quant::read_super_block(view.dtype, source.data + row * row_bytes + g * block_bytes, r);
      std::memcpy(to + row * 2, &r.d, 2);
      const bool minima = halves(view.dtype) == 2;
      if (minima) std::memcpy(to + (places.outputs + row) * 2, &r.dmin, 2);
      for (int64_t j = 0; j < 8 && places.planes > 0; ++j) {
        std::byte* planes = to + places.group_at(j) + row;
        planes[0] = std::byte{r.scales[view.dtype == DType::kQ6_K ? 2 * j : j]};
        if (places.planes == 2) planes[places.outputs] = std::byte{minima ? r.minima[j] : r.scales[2 * j + 1]};
      }
    }
    for (int64_t n = 0; n < neuron_group(view.dtype).neurons; ++n) {
      std::byte* group = to + places.group_at(n / 32);
      for (int64_t i = 0; i < count; ++i) {
        const int code = rows[i].codes[n];
        group[places.nibble(n % 32, first + i)] |= static_cast<std::byte>((code & 15) << (i < 32 ? 0 : 4));
        if (places.high == 0) continue;
        const auto [byte, shift] = places.bits(n % 32, first + i);
        group[byte] |= static_cast<std::byte>(code >> 4 << shift);
      }
    }
  }
}

float neuron_value(const WeightView& view, int64_t row, int64_t col) {
  const NeuronPlaces places(view);
  const int64_t together = neuron_group(view.dtype).neurons;
  const std::byte* head = view.data + col / together * view.step_bytes;
  const std::byte* group = head + places.group_at(col % together / 32);
  int code = static_cast<int>(group[places.nibble(col % 32, row)]) >> (row % 64 < 32 ? 0 : 4) & 15;
  if (places.high > 0) {
    const auto [byte, shift] = places.bits(col % 32, row);
    code |= (static_cast<int>(group[byte]) >> shift & ((1 << places.high) - 1)) << 4;
  }
  uint16_t d, dmin;
  std::memcpy(&d, head + row * 2, 2);
  std::memcpy(&dmin, head + (places.outputs + row) * 2, 2);
  const std::byte *first = group + row, *second = first + places.outputs;
  switch (view.dtype) {
    case DType::kQ6_K:
      return f16_to_f32(d) * static_cast<float>(static_cast<int8_t>(*(col % 32 < 16 ? first : second))) *
             static_cast<float>(code - 32);
    case DType::kIQ4_XS:
      return f16_to_f32(d) * static_cast<float>(static_cast<int8_t>(*first)) * static_cast<float>(kIq4Values[code]);
    case DType::kQ5_0: return f16_to_f32(d) * static_cast<float>(code - 16);
    case DType::kQ4_1:
    case DType::kQ5_1: return f16_to_f32(d) * static_cast<float>(code) - f16_to_f32(dmin);
    default:
      return f16_to_f32(d) * static_cast<float>(*first) * static_cast<float>(code) -
             f16_to_f32(dmin) * static_cast<float>(*second);
  }
}

// From panels of types with blocks of 32.
float pair_value(const WeightView& view, int64_t row, int64_t col) {
  const PanelGroup group = panel_group(view.dtype);
  const int64_t lane = row % kPanelRows, block = col % 64 / 32, line = col % 32 / 4, byte = lane * 4 + col % 4,
                scale_bytes = 32 * halves(view.dtype), block_bytes = (4 + high_bits(view.dtype)) * 64;
  const std::byte* at = view.data + row / kPanelRows * view.step_bytes + col / 64 * group.bytes;
  const std::byte *codes = at + 2 * scale_bytes + block * block_bytes, *scales = at + block * scale_bytes + lane * 2;
  int code = static_cast<int>(codes[line / 2 * 64 + byte]) >> line % 2 * 4 & 15;
  if (high_bits(view.dtype) > 0) code |= (static_cast<int>(codes[256 + byte]) >> line & 1) << 4;
  uint16_t d, minimum;
  std::memcpy(&d, scales, 2);
  std::memcpy(&minimum, scales + (halves(view.dtype) == 2 ? 32 : 0), 2);
  if (view.dtype == DType::kQ5_0) return f16_to_f32(d) * static_cast<float>(code - 16);
  return f16_to_f32(d) * static_cast<float>(code) - f16_to_f32(minimum);
}

}  // namespace

void pack_super_blocks(ThreadPool& pool, const PackSource& source, const WeightView& view, std::byte* out) {
  const bool neurons = view.layout == Layout::kNeurons;
  if (source.dtype != view.dtype || (view.layout != Layout::kPanels && !neurons) ||
      view.cols % dtype_facts(view.dtype).block_values != 0)
    throw Error(ErrorCode::kInternal, std::string("pack_weight: ") + dtype_name(view.dtype) +
                                          " is packed in panels or neurons, from whole super-blocks of the same "
                                          "type, not from " +
                                          dtype_name(source.dtype));
  expect_finite_scales(pool, source, view.rows, view.cols);
  if (!neurons && has_small_blocks(view.dtype)) return pack_panels_of_pairs(pool, source, view, out);
  if (!neurons) return pack_panels(pool, source, view, out);
  pool.parallel_for(view.cols / neuron_group(view.dtype).neurons, 1, [&](int64_t begin, int64_t end) {
    for (int64_t g = begin; g < end; ++g) pack_neuron_group(source, view, g, out + g * view.step_bytes);
  });
}

float super_block_value(const WeightView& view, int64_t row, int64_t col) {
  if (view.layout == Layout::kNeurons) return neuron_value(view, row, col);
  if (has_small_blocks(view.dtype)) return pair_value(view, row, col);
  const PanelGroup group = panel_group(view.dtype);
  const int64_t lane = row % kPanelRows, high = high_bits(view.dtype), block = col % group.cols / 32,
                line = col % 32 / 4, byte = lane * 4 + col % 4;
  const std::byte* at = view.data + row / kPanelRows * view.step_bytes + col / group.cols * group.bytes;
  const std::byte* codes = at + head_bytes(view.dtype) + block * (4 + high) * 64;
  int code = static_cast<int>(codes[line / 2 * 64 + byte]) >> line % 2 * 4 & 15;
  if (high > 0)
    code |= (static_cast<int>(codes[256 + line * high / 8 * 64 + byte]) >> line * high % 8 & ((1 << high) - 1)) << 4;
  if (view.dtype == DType::kQ6_K || view.dtype == DType::kIQ4_XS) {
    const bool q6k = view.dtype == DType::kQ6_K;
    float d;
    std::memcpy(&d, at + lane * 4, 4);
    const int64_t scale = q6k ? col % group.cols / 16 : block;
    return d * static_cast<float>(static_cast<int8_t>(at[64 + scale * 16 + lane])) *
           static_cast<float>(q6k ? code - 32 : kIq4Values[code]);
  }
  uint16_t d, dmin;
  std::memcpy(&d, at + lane * 2, 2);
  std::memcpy(&dmin, at + 32 + lane * 2, 2);
  return f16_to_f32(d) * static_cast<float>(at[64 + block * 32 + lane]) * static_cast<float>(code) -
         f16_to_f32(dmin) * static_cast<float>(at[64 + block * 32 + 16 + lane]);
}

}  // namespace g3n
