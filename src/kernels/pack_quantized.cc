#include "kernels/pack_quantized.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <string>

#include "g3n/error.h"
#include "kernels/quant/q4.h"
#include "kernels/quant/q8.h"

namespace g3n {
namespace {

// One block of 32 inputs of one output: scale and signed codes (q4: value - 8 taken off).
struct Block {
  uint16_t scale;
  int8_t codes[32];
};

float source_value(const PackSource& source, int64_t index) {
  uint32_t bits = 0;
  const int64_t size = dtype_bytes(source.dtype);
  std::memcpy(&bits, source.data + index * size, static_cast<size_t>(size));
  float value;
  if (source.dtype == DType::kF16) return f16_to_f32(static_cast<uint16_t>(bits));
  if (source.dtype == DType::kBF16) bits <<= 16;
  std::memcpy(&value, &bits, 4);
  return value;
}

Block encode(DType dtype, const float* x) {
  Block out;
  if (dtype == DType::kQ8_0) {
    const quant::Q8Block b = quant::encode_q8(x);
    out.scale = b.scale;
    std::memcpy(out.codes, b.codes, 32);
  } else {
    const quant::Q4Block b = quant::encode_q4(x);
    out.scale = b.scale;
    for (int i = 0; i < 32; ++i) out.codes[i] = static_cast<int8_t>(b.codes[i] - 8);
  }
  return out;
}

// Where scale and code of (row, col) lie: byte offsets from data; `high`: the upper nibble.
struct Place {
  int64_t scale, code;
  bool high = false;
};
Place place_of(const WeightView& view, int64_t row, int64_t col) {
  const bool q4 = view.dtype == DType::kQ4_0;
  const int64_t block = col / 32, i = col % 32;
  switch (view.layout) {
    case Layout::kPanels: {
      const int64_t lane = row % kPanelRows, block_bytes = q4 ? 256 : 512;
      const int64_t pair = row / kPanelRows * view.step_bytes + block / 2 * (64 + 2 * block_bytes), codes = pair + 64 + block % 2 * block_bytes;
      const int64_t scale = pair + (block % 2 * kPanelRows + lane) * 2;
      if (q4) return {scale, codes + i / 8 * 64 + lane * 4 + i % 4, i % 8 >= 4};
      return {scale, codes + i / 4 * 64 + lane * 4 + i % 4};
    }
    case Layout::kRows: {
      const int64_t at = row * view.step_bytes, scale = at + code_bytes(view.dtype, round_up(view.cols, kPairCols)) + block * 2;
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

void put_block(const WeightView& view, int64_t row, int64_t block, const Block& b, std::byte* out) {
  std::memcpy(out + place_of(view, row, block * 32).scale, &b.scale, 2);
  for (int i = 0; i < 32; ++i) {
    const Place p = place_of(view, row, block * 32 + i);
    if (view.dtype == DType::kQ4_0) {
      const std::byte code{static_cast<uint8_t>(b.codes[i] + 8)};
      out[p.code] |= p.high ? code << 4 : code;
    } else {
      out[p.code] = std::byte{static_cast<uint8_t>(b.codes[i] + (view.layout == Layout::kPanels ? 128 : 0))};
    }
  }
}

}  // namespace

void pack_quantized(ThreadPool& pool, const PackSource& source, const WeightView& view, std::byte* out) {
  if (source.dtype != DType::kF32 && source.dtype != DType::kBF16 && source.dtype != DType::kF16)
    throw Error(ErrorCode::kInternal, std::string("pack_weight: cannot pack ") + dtype_name(source.dtype) + " as " + dtype_name(view.dtype));
  const int64_t blocks = (view.cols + 31) / 32;
  std::memset(out, 0, static_cast<size_t>(packed_bytes(view.dtype, view.layout, view.rows, view.cols)));
  std::atomic<int64_t> broken{-1};
  // Blocks of one column of blocks never share bytes with another's in kNeurons; rows do not in the others, but for the 16 of a panel, which are disjoint, too.
  const bool neurons = view.layout == Layout::kNeurons;
  pool.parallel_for(neurons ? blocks : view.rows, 1, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n)
      for (int64_t m = 0; m < (neurons ? view.rows : blocks); ++m) {
        const int64_t row = neurons ? m : n, block = neurons ? n : m;
        float x[32] = {};
        for (int64_t i = 0; i < std::min<int64_t>(32, view.cols - block * 32); ++i) x[i] = source_value(source, row * view.cols + block * 32 + i);
        const Block b = encode(view.dtype, x);
        if ((b.scale & 0x7c00u) == 0x7c00u) broken.store(row);
        put_block(view, row, block, b, out);
      }
  });
  if (broken.load() >= 0)
    throw Error(ErrorCode::kBadFile, "row " + std::to_string(broken.load()) + " holds values that are not finite or too large for " + dtype_name(view.dtype));
}

float quantized_value(const WeightView& view, int64_t row, int64_t col) {
  const Place p = place_of(view, row, col);
  uint16_t scale;
  std::memcpy(&scale, view.data + p.scale, 2);
  const int byte = static_cast<int>(view.data[p.code]);
  const int code = view.dtype == DType::kQ4_0          ? (p.high ? byte >> 4 : byte & 15) - 8
                   : view.layout == Layout::kPanels ? byte - 128
                                                      : static_cast<int8_t>(byte);
  return f16_to_f32(scale) * static_cast<float>(code);
}

}  // namespace g3n
