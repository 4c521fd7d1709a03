#include "kernels/pack_quantized.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <string>

#include "g3n/error.h"
#include "kernels/iq4_values.h"
#include "kernels/quant/q4.h"
#include "kernels/quant/q8.h"

namespace g3n {
namespace {

// One block of 32 inputs of one output: scale and signed codes (of q4, too: the stored code less 8).
struct Block {
  uint16_t scale = 0;
  int8_t codes[32] = {};
};

// 32 values from `index` on, the first n of them there, as f32. Source types: f32, bf16, f16.
void load_block(const PackSource& source, int64_t index, int64_t n, float (&x)[32]) {
  if (n < 32) std::fill(x, x + 32, 0.0f);
  switch (source.dtype) {
    case DType::kF32: std::memcpy(x, source.data + index * 4, static_cast<size_t>(n) * 4); break;
    case DType::kBF16: {
      uint16_t bits[32];
      std::memcpy(bits, source.data + index * 2, static_cast<size_t>(n) * 2);
      for (int64_t i = 0; i < n; ++i) x[i] = bf16_to_f32(bits[i]);
      break;
    }
    default: {
      uint16_t bits[32];
      std::memcpy(bits, source.data + index * 2, static_cast<size_t>(n) * 2);
      for (int64_t i = 0; i < n; ++i) x[i] = f16_to_f32(bits[i]);
    }
  }
}

bool is_finite(const float (&x)[32]) {
  float sum = 0;
  for (float v : x) sum += v * 0.0f;  // NaN if any is not finite
  return sum == 0.0f;
}

// The codes of a Q4_0 block: low nibbles first.
void unpack_q4(const std::byte* nibbles, int8_t (&codes)[32]) {
  uint8_t bytes[16];
  std::memcpy(bytes, nibbles, 16);
  for (int i = 0; i < 16; ++i) codes[i] = static_cast<int8_t>((bytes[i] & 15) - 8);
  for (int i = 0; i < 16; ++i) codes[i + 16] = static_cast<int8_t>((bytes[i] >> 4) - 8);
}

// A block of a source: quantised here, or taken as it is from blocks of the same type. False if a value or scale is not
// finite.
bool read_block(const PackSource& source, DType dtype, int64_t row, int64_t block, int64_t cols, Block& out) {
  if (source.dtype == dtype) {
    const std::byte* at = source.data + (row * (cols / 32) + block) * dtype_bytes(dtype);
    std::memcpy(&out.scale, at, 2);
    if (dtype == DType::kQ8_0)
      std::memcpy(out.codes, at + 2, 32);
    else
      unpack_q4(at + 2, out.codes);
    return (out.scale & 0x7c00u) != 0x7c00u;
  }
  float x[32];
  load_block(source, row * cols + block * 32, std::min<int64_t>(32, cols - block * 32), x);
  if (!is_finite(x)) return false;
  if (dtype == DType::kQ8_0)
    quant::encode_q8(x, out.scale, out.codes);
  else
    quant::encode_q4(x, out.scale, out.codes);
  return (out.scale & 0x7c00u) != 0x7c00u;
}

// Where scale and code of (row, col) lie: byte offsets from data; `high`: the upper nibble.
struct CodePlace {
  int64_t scale, code;
  bool high = false;
};
CodePlace place_of(const WeightView& view, int64_t row, int64_t col) {
  const bool q4 = view.dtype != DType::kQ8_0;
  const int64_t block = col / 32, i = col % 32;
  switch (view.layout) {
    case Layout::kPanels: {
      const int64_t lane = row % kPanelRows, block_bytes = q4 ? 256 : 512;
      const int64_t pair = row / kPanelRows * view.step_bytes + block / 2 * (64 + 2 * block_bytes),
                    codes = pair + 64 + block % 2 * block_bytes;
      const int64_t scale = pair + (block % 2 * kPanelRows + lane) * 2;
      if (q4) return {scale, codes + i / 8 * 64 + lane * 4 + i % 4, i % 8 >= 4};
      return {scale, codes + i / 4 * 64 + lane * 4 + i % 4};
    }
    case Layout::kRows: {
      const int64_t at = row * view.step_bytes,
                    scale = at + code_bytes(view.dtype, round_up(view.cols, kPairCols)) + block * 2;
      if (q4) return {scale, at + col / 64 * 32 + i, col % 64 >= 32};
      return {scale, at + col};
    }
    default: {
      const int64_t outputs = round_up(view.rows, kNeuronOutputs), group = block * view.step_bytes;
      const int64_t codes = group + outputs * 2 + i * code_bytes(view.dtype, outputs);
      if (q4) return {group + row * 2, codes + row / 64 * 32 + row % 32, row % 64 >= 32};
      return {group + row * 2, codes + row};
    }
  }
}

// 16 rows x 64 inputs: a line of scales, then the code lines of both blocks, four codes of a row (eight in q4) after
// those of the row before. q4 bytes are written whole, so padding needs no clearing before.
void put_pair(DType dtype, const Block (&rows)[16][2], std::byte* out) {
  const bool q4 = dtype == DType::kQ4_0;
  const uint8_t bias = q4 ? 8 : 128;
  for (int half = 0; half < 2; ++half) {
    std::byte* codes = out + 64 + half * (q4 ? 256 : 512);
    for (int lane = 0; lane < 16; ++lane) {
      const Block& b = rows[lane][half];
      std::memcpy(out + (half * 16 + lane) * 2, &b.scale, 2);
      uint8_t bytes[32];
      for (int i = 0; i < 32; ++i) bytes[i] = static_cast<uint8_t>(b.codes[i] + bias);
      uint32_t fours[8];
      std::memcpy(fours, bytes, 32);
      const auto put = [&](int line, uint32_t word) { std::memcpy(codes + line * 64 + lane * 4, &word, 4); };
      if (q4)
        for (int m = 0; m < 4; ++m) put(m, fours[2 * m] | fours[2 * m + 1] << 4);
      else
        for (int m = 0; m < 8; ++m) put(m, fours[m]);
    }
  }
}

// 64 codes of one output (kRows) or of one neuron (kNeurons), as groups of 32 bytes hold them.
void put_codes(DType dtype, const int8_t* low, const int8_t* high, std::byte* out) {
  if (dtype == DType::kQ4_0) {
    for (int i = 0; i < 32; ++i) out[i] = std::byte{static_cast<uint8_t>((low[i] + 8) | (high[i] + 8) << 4)};
  } else {
    std::memcpy(out, low, 32);
    std::memcpy(out + 32, high, 32);
  }
}

// Notes the first row, and in it the first block, whose values cannot be quantised: the lowest, whichever thread comes
// first.
class BadRow {
 public:
  void note(int64_t row, int64_t block) {
    const int64_t where = row << 24 | block;
    for (int64_t seen = where_.load(); where < seen && !where_.compare_exchange_weak(seen, where);) {
    }
  }
  void throw_if_any(const PackSource& source, DType dtype) const {
    const int64_t w = where_.load();
    if (w != kNone)
      throw Error(ErrorCode::kBadFile, "row " + std::to_string(source.first_row + (w >> 24)) + ", block " +
                                           std::to_string(w & 0xffffff) + ": expected finite values that fit " +
                                           dtype_name(dtype) + ", found others");
  }

 private:
  static constexpr int64_t kNone = INT64_MAX;
  std::atomic<int64_t> where_{kNone};
};

void pack_panels(ThreadPool& pool, const PackSource& source, const WeightView& view, std::byte* out, BadRow& bad) {
  const int64_t pairs = round_up(view.cols, kPairCols) / kPairCols, blocks = (view.cols + 31) / 32,
                pair_bytes = 64 + 2 * (view.dtype == DType::kQ4_0 ? 256 : 512);
  pool.parallel_for((view.rows + 15) / 16, 1, [&](int64_t begin, int64_t end) {
    for (int64_t panel = begin; panel < end; ++panel)
      for (int64_t pair = 0; pair < pairs; ++pair) {
        Block rows[16][2];
        for (int64_t lane = 0; lane < std::min<int64_t>(16, view.rows - panel * 16); ++lane)
          for (int64_t half = 0; half < std::min<int64_t>(2, blocks - pair * 2); ++half)
            if (!read_block(source, view.dtype, panel * 16 + lane, pair * 2 + half, view.cols, rows[lane][half]))
              bad.note(panel * 16 + lane, pair * 2 + half);
        put_pair(view.dtype, rows, out + panel * view.step_bytes + pair * pair_bytes);
      }
  });
}

void pack_rows(ThreadPool& pool, const PackSource& source, const WeightView& view, std::byte* out, BadRow& bad) {
  const int64_t pairs = round_up(view.cols, kPairCols) / kPairCols, blocks = (view.cols + 31) / 32;
  const int64_t scales_at = code_bytes(view.dtype, pairs * kPairCols), group = code_bytes(view.dtype, kPairCols);
  pool.parallel_for(view.rows, 16, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      std::byte* to = out + row * view.step_bytes;
      std::memset(to + scales_at, 0, static_cast<size_t>(view.step_bytes - scales_at));
      for (int64_t pair = 0; pair < pairs; ++pair) {
        Block b[2];
        for (int64_t half = 0; half < std::min<int64_t>(2, blocks - pair * 2); ++half) {
          if (!read_block(source, view.dtype, row, pair * 2 + half, view.cols, b[half])) bad.note(row, pair * 2 + half);
          std::memcpy(to + scales_at + (pair * 2 + half) * 2, &b[half].scale, 2);
        }
        put_codes(view.dtype, b[0].codes, b[1].codes, to + pair * group);
      }
    }
  });
}

// Groups of 32 neurons: 64 outputs are read, then turned round.
void pack_neurons(ThreadPool& pool, const PackSource& source, const WeightView& view, std::byte* out, BadRow& bad) {
  const int64_t outputs = round_up(view.rows, kNeuronOutputs), neuron_bytes = code_bytes(view.dtype, outputs),
                group = code_bytes(view.dtype, kPairCols);
  pool.parallel_for((view.cols + 31) / 32, 1, [&](int64_t begin, int64_t end) {
    for (int64_t g = begin; g < end; ++g) {
      std::byte* to = out + g * view.step_bytes;
      for (int64_t row = 0; row < outputs; row += kPairCols) {
        int8_t turned[32][64] = {};
        for (int64_t i = 0; i < kPairCols; ++i) {
          Block b;
          if (row + i < view.rows && !read_block(source, view.dtype, row + i, g, view.cols, b)) bad.note(row + i, g);
          std::memcpy(to + (row + i) * 2, &b.scale, 2);
          for (int n = 0; n < 32; ++n) turned[n][i] = b.codes[n];
        }
        for (int n = 0; n < 32; ++n)
          put_codes(view.dtype, turned[n], turned[n] + 32,
                    to + outputs * 2 + n * neuron_bytes + row / kPairCols * group);
      }
    }
  });
}

}  // namespace

void pack_quantized(ThreadPool& pool, const PackSource& source, const WeightView& view, std::byte* out) {
  const bool same_blocks = source.dtype == view.dtype && view.cols % 32 == 0;
  if (!same_blocks && source.dtype != DType::kF32 && source.dtype != DType::kBF16 && source.dtype != DType::kF16)
    throw Error(ErrorCode::kInternal,
                std::string("pack_weight: cannot pack ") + dtype_name(source.dtype) + " as " + dtype_name(view.dtype));
  BadRow bad;
  if (view.layout == Layout::kPanels)
    pack_panels(pool, source, view, out, bad);
  else if (view.layout == Layout::kRows)
    pack_rows(pool, source, view, out, bad);
  else
    pack_neurons(pool, source, view, out, bad);
  bad.throw_if_any(source, view.dtype);
}

void pack_table(ThreadPool& pool, const PackSource& source, int64_t rows, int64_t cols, DType dtype, std::byte* out) {
  const int64_t from_bytes = dtype_bytes(source.dtype, cols), to_bytes = dtype_bytes(dtype, cols);
  if (source.dtype == dtype) {
    std::memcpy(out, source.data, static_cast<size_t>(rows * from_bytes));
    return;
  }
  if (is_block_type(source.dtype) || (dtype != DType::kQ8_0 && dtype != DType::kBF16 && dtype != DType::kF32))
    throw Error(ErrorCode::kUnsupported,
                std::string("a table of ") + dtype_name(source.dtype) + " cannot be kept as " + dtype_name(dtype));
  BadRow bad;
  pool.parallel_for(rows, 16, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      for (int64_t block = 0; block * 32 < cols; ++block) {
        const int64_t n = std::min<int64_t>(32, cols - block * 32);
        float x[32];
        load_block(source, row * cols + block * 32, n, x);
        std::byte* to = out + row * to_bytes;
        if (dtype == DType::kF32) {
          std::memcpy(to + block * 128, x, static_cast<size_t>(n) * 4);
        } else if (dtype == DType::kBF16) {
          for (int64_t i = 0; i < n; ++i) {
            const bf16_t bits = f32_to_bf16(x[i]);
            std::memcpy(to + (block * 32 + i) * 2, &bits, 2);
          }
        } else {
          Block b;
          if (is_finite(x)) quant::encode_q8(x, b.scale, b.codes);
          if (!is_finite(x) || (b.scale & 0x7c00u) == 0x7c00u) bad.note(row, block);
          std::memcpy(to + block * 34, &b.scale, 2);
          std::memcpy(to + block * 34 + 2, b.codes, 32);
        }
      }
  });
  bad.throw_if_any(source, dtype);
}

float quantized_value(const WeightView& view, int64_t row, int64_t col) {
  const CodePlace p = place_of(view, row, col);
  uint16_t scale;
  std::memcpy(&scale, view.data + p.scale, 2);
  const int byte = static_cast<int>(view.data[p.code]), nibble = p.high ? byte >> 4 : byte & 15;
  const int code = view.dtype == DType::kQ4_0       ? nibble - 8
                   : view.dtype == DType::kIQ4_NL   ? kIq4Values[nibble]
                   : view.layout == Layout::kPanels ? byte - 128
                                                    : static_cast<int8_t>(byte);
  return f16_to_f32(scale) * static_cast<float>(code);
}

}  // namespace g3n
