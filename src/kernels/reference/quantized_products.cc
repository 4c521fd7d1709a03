// Products of the reference table with weights in codes.
#include <algorithm>
#include <cmath>

#include "core/weight.h"
#include "kernels/iq4_values.h"
#include "kernels/reference/reference.h"

namespace g3n::reference {
namespace {

// Weight code (signed) of block input i, output lane; `block` is the first code line of a block.
struct Q8Panel {
  static constexpr int64_t kBlockBytes = 512;
  static int code(const std::byte* block, int i, int lane) {
    return static_cast<int>(block[i / 4 * 64 + lane * 4 + i % 4]) - 128;
  }
};
struct Q4Panel {
  static constexpr int64_t kBlockBytes = 256;
  static int code(const std::byte* block, int i, int lane) {
    const int both = static_cast<int>(block[i / 8 * 64 + lane * 4 + i % 4]);
    return (i % 8 < 4 ? both & 15 : both >> 4) - 8;
  }
};

struct Iq4NlPanel {
  static constexpr int64_t kBlockBytes = 256;
  static int code(const std::byte* block, int i, int lane) { return kIq4Values[Q4Panel::code(block, i, lane) + 8]; }
};

// Five code lines a block, as the super-blocks of q5k have them.
struct Q50Panel {
  static constexpr int64_t kBlockBytes = 320;
  static int code(const std::byte* block, int i, int lane) {
    const int fifth = static_cast<int>(block[256 + lane * 4 + i % 4]) >> i / 4 & 1;
    return Q4Panel::code(block, i, lane) + 8 + 16 * fifth - 16;
  }
};

template <typename Panel>
void quantized_matmul(const QuantMatmul& m) {
  const int64_t blocks = m.cols / 32, pair_bytes = 64 + 2 * Panel::kBlockBytes;
  for (int64_t row = 0; row < m.rows; ++row) {
    const int8_t* x = m.x.codes + row * m.x.code_step;
    const float* scales = m.x.scales + row * (m.x.code_step / 32);
    for (int64_t o = 0; o < m.outputs; ++o) {
      const std::byte* panel = static_cast<const std::byte*>(m.weight) + o / 16 * m.panel_step;
      const int lane = static_cast<int>(o % 16);
      float total = 0.0f;
      for (int64_t b = 0; b < blocks; ++b) {
        const std::byte* pair = panel + b / 2 * pair_bytes;
        const std::byte* codes = pair + 64 + b % 2 * Panel::kBlockBytes;
        int sum = 0;
        for (int i = 0; i < 32; ++i) sum += x[b * 32 + i] * Panel::code(codes, i, lane);
        const float scale = f16_to_f32(reinterpret_cast<const uint16_t*>(pair)[b % 2 * 16 + lane]);
        total = std::fma(scales[b] * scale, static_cast<float>(sum), total);
      }
      m.out[row * m.out_step + o] = total;
    }
  }
}

// q4_1, q5_1: a minimum for each block of 32. The codes of these have no offset.
template <typename Panel, int kOffset>
void minimum_pair_matmul(const QuantMatmul& m) {
  const int64_t pair_bytes = 2 * 64 + 2 * Panel::kBlockBytes;
  for (int64_t row = 0; row < m.rows; ++row) {
    const int8_t* x = m.x.codes + row * m.x.code_step;
    const int64_t first = row * (m.x.code_step / 32);
    for (int64_t o = 0; o < m.outputs; ++o) {
      const std::byte* panel = static_cast<const std::byte*>(m.weight) + o / 16 * m.panel_step;
      const int lane = static_cast<int>(o % 16);
      float total = 0.0f;
      for (int64_t b = 0; b < m.cols / 32; ++b) {
        const std::byte* pair = panel + b / 2 * pair_bytes;
        const auto* halves = reinterpret_cast<const uint16_t*>(pair) + b % 2 * 32;
        const std::byte* codes = pair + 128 + b % 2 * Panel::kBlockBytes;
        int sum = 0;
        for (int i = 0; i < 32; ++i) sum += x[b * 32 + i] * (Panel::code(codes, i, lane) + kOffset);
        total = std::fma(m.x.scales[first + b] * f16_to_f32(halves[lane]), static_cast<float>(sum), total);
        total = std::fma(m.x.minima[first + b], f16_to_f32(halves[16 + lane]), total);
      }
      m.out[row * m.out_step + o] = total;
    }
  }
}

// A super-block of 256 inputs: code (unsigned) of input i of a block, whose code lines begin at `block`. kHigh: bits of
// a code beyond its nibble.
template <int kHigh>
struct SuperBlock {
  static constexpr int64_t kHead = 5 * 64, kBlockBytes = (4 + kHigh) * 64, kBytes = kHead + 8 * kBlockBytes;
  static int code(const std::byte* block, int i, int lane) {
    const int in_line = lane * 4 + i % 4, line = i / 4;  // of 16 outputs x 4 inputs
    const int both = static_cast<int>(block[line / 2 * 64 + in_line]), low = line % 2 == 0 ? both & 15 : both >> 4;
    if constexpr (kHigh == 0) return low;
    const int place = line * kHigh;  // in bits, over the lines of high bits
    const int high = static_cast<int>(block[256 + place / 8 * 64 + in_line]) >> place % 8;
    return low | (high & ((1 << kHigh) - 1)) << 4;
  }
};

// q4k, q5k: a minimum for each block.
template <int kHigh>
void minimum_matmul(const QuantMatmul& m) {
  using Panel = SuperBlock<kHigh>;
  for (int64_t row = 0; row < m.rows; ++row) {
    const int8_t* x = m.x.codes + row * m.x.code_step;
    const int64_t first = row * (m.x.code_step / 32);
    for (int64_t o = 0; o < m.outputs; ++o) {
      const std::byte* panel = static_cast<const std::byte*>(m.weight) + o / 16 * m.panel_step;
      const int lane = static_cast<int>(o % 16);
      float total = 0.0f;
      for (int64_t b = 0; b < m.cols / 32; ++b) {
        const std::byte* group = panel + b / 8 * Panel::kBytes;
        const std::byte* codes = group + Panel::kHead + b % 8 * Panel::kBlockBytes;
        const float d = f16_to_f32(reinterpret_cast<const uint16_t*>(group)[lane]),
                    dmin = f16_to_f32(reinterpret_cast<const uint16_t*>(group)[16 + lane]);
        const float scale = d * static_cast<float>(group[64 + b % 8 * 32 + lane]),
                    minimum = dmin * static_cast<float>(group[64 + b % 8 * 32 + 16 + lane]);
        int sum = 0;
        for (int i = 0; i < 32; ++i) sum += x[b * 32 + i] * Panel::code(codes, i, lane);
        total = std::fma(m.x.scales[first + b] * scale, static_cast<float>(sum), total);
        total = std::fma(m.x.minima[first + b], minimum, total);
      }
      m.out[row * m.out_step + o] = total;
    }
  }
}

}  // namespace

void quantize_row(const float* x, int64_t cols, int8_t* codes, float* scales, int32_t* starts) {
  for (int64_t b = 0; b < round_up(cols, kPairCols) / 32; ++b) {
    const int64_t begin = b * 32, end = std::min(cols, begin + 32);
    float most = 0.0f;
    bool finite = true;
    for (int64_t i = begin; i < end; ++i)
      most = std::max(most, std::fabs(x[i])), finite = finite && std::isfinite(x[i]);
    const bool zero = !finite || most < kLeastMagnitude;
    scales[b] = !finite ? NAN : zero ? 0.0f : most / 127.0f;
    const float inverse = 127.0f / most;
    for (int64_t i = begin; i < begin + 32; ++i)
      codes[i] = zero || i >= cols ? int8_t{0} : static_cast<int8_t>(std::nearbyint(x[i] * inverse));
    starts[b] = 0;
    for (int64_t i = begin; i < begin + 32; ++i) starts[b] -= 8 * codes[i];
  }
}

void matmul_q8(const QuantMatmul& m) { quantized_matmul<Q8Panel>(m); }
void matmul_q4(const QuantMatmul& m) { quantized_matmul<Q4Panel>(m); }
void matmul_q4_1(const QuantMatmul& m) { minimum_pair_matmul<Q4Panel, 8>(m); }
void matmul_q5_0(const QuantMatmul& m) { quantized_matmul<Q50Panel>(m); }
void matmul_q5_1(const QuantMatmul& m) { minimum_pair_matmul<Q50Panel, 16>(m); }
void matmul_q4k(const QuantMatmul& m) { minimum_matmul<0>(m); }
void matmul_q5k(const QuantMatmul& m) { minimum_matmul<1>(m); }

void matmul_iq4nl(const QuantMatmul& m) { quantized_matmul<Iq4NlPanel>(m); }
void matmul_iq4xs(const QuantMatmul& m) {
  for (int64_t row = 0; row < m.rows; ++row) {
    const int8_t* x = m.x.codes + row * m.x.code_step;
    const float* scales = m.x.scales + row * (m.x.code_step / 32);
    for (int64_t o = 0; o < m.outputs; ++o) {
      const std::byte* panel = static_cast<const std::byte*>(m.weight) + o / 16 * m.panel_step;
      const int lane = static_cast<int>(o % 16);
      float total = 0.0f;
      for (int64_t b = 0; b < m.cols / 32; ++b) {
        const std::byte* group = panel + b / 8 * (35 * 64);
        const float scale = reinterpret_cast<const float*>(group)[lane] *
                            static_cast<float>(static_cast<int8_t>(group[64 + b % 8 * 16 + lane]));
        int sum = 0;
        for (int i = 0; i < 32; ++i) sum += x[b * 32 + i] * Iq4NlPanel::code(group + 3 * 64 + b % 8 * 256, i, lane);
        total = std::fma(scales[b] * scale, static_cast<float>(sum), total);
      }
      m.out[row * m.out_step + o] = total;
    }
  }
}

void matmul_q6k(const QuantMatmul& m) {
  using Panel = SuperBlock<2>;
  for (int64_t row = 0; row < m.rows; ++row) {
    const int8_t* x = m.x.codes + row * m.x.code_step;
    const float* scales = m.x.scales + row * (m.x.code_step / 32);
    for (int64_t o = 0; o < m.outputs; ++o) {
      const std::byte* panel = static_cast<const std::byte*>(m.weight) + o / 16 * m.panel_step;
      const int lane = static_cast<int>(o % 16);
      float total = 0.0f;
      for (int64_t half = 0; half < m.cols / 16; ++half) {  // of blocks
        const std::byte* group = panel + half / 16 * Panel::kBytes;
        const std::byte* codes = group + Panel::kHead + half / 2 % 8 * Panel::kBlockBytes;
        const float d = reinterpret_cast<const float*>(group)[lane];
        const float scale = d * static_cast<float>(static_cast<int8_t>(group[64 + half % 16 * 16 + lane]));
        int sum = 0;
        for (int i = 0; i < 16; ++i)
          sum += x[half * 16 + i] * (Panel::code(codes, static_cast<int>(half % 2 * 16 + i), lane) - 32);
        total = std::fma(scales[half / 2] * scale, static_cast<float>(sum), total);
      }
      m.out[row * m.out_step + o] = total;
    }
  }
}

}  // namespace g3n::reference
