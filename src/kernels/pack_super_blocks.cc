#include "kernels/pack_super_blocks.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <string>

#include "g3n/error.h"
#include "kernels/iq4_values.h"

namespace g3n {
namespace {

// Bytes of scales before the codes of a super-block.
int64_t head_bytes(DType dtype) { return (dtype == DType::kIQ4_XS ? 3 : 5) * 64; }

// One super-block of one output, in the order of its inputs.
struct SuperBlock {
  uint16_t d = 0, dmin = 0;
  uint8_t scales[16] = {};  // q4k, q5k: 8; iq4xs: 8, signed; q6k: 16, signed
  uint8_t minima[8] = {};   // q4k, q5k
  uint8_t codes[256] = {};
};

// High bits of a code beyond its nibble.
int high_bits(DType dtype) { return dtype == DType::kQ6_K ? 2 : dtype == DType::kQ5_K ? 1 : 0; }

// Six bits each: s[0..3] hold scales 0-3, s[4..7] minima 0-3, s[8..11] the low nibbles of 4-7, whose upper bits lie on
// top of the others.
void read_scales(const uint8_t* s, SuperBlock& out) {
  for (int j = 0; j < 4; ++j) {
    out.scales[j] = s[j] & 63;
    out.minima[j] = s[j + 4] & 63;
    out.scales[j + 4] = static_cast<uint8_t>((s[j + 8] & 15) | s[j] >> 6 << 4);
    out.minima[j + 4] = static_cast<uint8_t>(s[j + 8] >> 4 | s[j + 4] >> 6 << 4);
  }
}

void read_super_block(DType dtype, const std::byte* block, SuperBlock& out) {
  uint8_t b[210];
  std::memcpy(b, block, static_cast<size_t>(dtype_bytes(dtype)));
  if (dtype == DType::kQ6_K) {
    std::memcpy(&out.d, b + 208, 2);
    std::memcpy(out.scales, b + 192, 16);
    for (int n = 0; n < 2; ++n)
      for (int k = 0; k < 4; ++k)
        for (int l = 0; l < 32; ++l)
          out.codes[128 * n + 32 * k + l] = static_cast<uint8_t>((b[64 * n + 32 * (k % 2) + l] >> (k / 2 * 4) & 15) |
                                                                 (b[128 + 32 * n + l] >> (2 * k) & 3) << 4);
    return;
  }
  std::memcpy(&out.d, b, 2);
  if (dtype == DType::kIQ4_XS) {
    const int high = b[2] | b[3] << 8;
    for (int j = 0; j < 8; ++j) {
      out.scales[j] = static_cast<uint8_t>(((b[4 + j / 2] >> (j % 2 * 4) & 15) | (high >> (2 * j) & 3) << 4) - 32);
      for (int l = 0; l < 32; ++l)
        out.codes[32 * j + l] = static_cast<uint8_t>(b[8 + 16 * j + l % 16] >> (l / 16 * 4) & 15);
    }
    return;
  }
  std::memcpy(&out.dmin, b + 2, 2);
  read_scales(b + 4, out);
  const bool fifth = dtype == DType::kQ5_K;
  const uint8_t* nibbles = b + (fifth ? 48 : 16);
  for (int j = 0; j < 8; ++j)
    for (int l = 0; l < 32; ++l) {
      const int low = nibbles[j / 2 * 32 + l] >> (j % 2 * 4) & 15, high = fifth ? b[16 + l] >> j & 1 : 0;
      out.codes[32 * j + l] = static_cast<uint8_t>(low | high << 4);
    }
}

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

}  // namespace

void pack_super_blocks(ThreadPool& pool, const PackSource& source, const WeightView& view, std::byte* out) {
  const PanelGroup group = panel_group(view.dtype);
  if (source.dtype != view.dtype || view.layout != Layout::kPanels || view.cols % group.cols != 0)
    throw Error(ErrorCode::kInternal, std::string("pack_weight: ") + dtype_name(view.dtype) +
                                          " is packed in panels, from whole super-blocks of the same type, not from " +
                                          dtype_name(source.dtype));
  expect_finite_scales(pool, source, view.rows, view.cols);
  const int64_t row_bytes = dtype_bytes(view.dtype, view.cols), block_bytes = (4 + high_bits(view.dtype)) * 64;
  pool.parallel_for((view.rows + kPanelRows - 1) / kPanelRows, 1, [&](int64_t begin, int64_t end) {
    SuperBlock rows[kPanelRows];
    for (int64_t panel = begin; panel < end; ++panel)
      for (int64_t g = 0; g < view.cols / group.cols; ++g) {
        std::byte* to = out + panel * view.step_bytes + g * group.bytes;
        for (int64_t lane = 0; lane < kPanelRows; ++lane) {
          const int64_t row = panel * kPanelRows + lane;
          if (row < view.rows)
            read_super_block(view.dtype, source.data + row * row_bytes + g * dtype_bytes(view.dtype), rows[lane]);
          else
            rows[lane] = {};
        }
        put_scales(view.dtype, rows, to);
        for (int64_t block = 0; block < 8; ++block)
          put_codes(view.dtype, rows, block, to + head_bytes(view.dtype) + block * block_bytes);
      }
  });
}

float super_block_value(const WeightView& view, int64_t row, int64_t col) {
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
