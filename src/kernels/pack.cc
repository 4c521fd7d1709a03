#include "kernels/pack.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "g3n/error.h"
#include "kernels/pack_quantized.h"
#include "kernels/pack_super_blocks.h"
#include "kernels/quant/gguf_blocks.h"

namespace g3n {
namespace {

float source_value(const PackSource& source, int64_t index) {
  switch (source.dtype) {
    case DType::kF32: {
      float value;
      std::memcpy(&value, source.data + index * 4, 4);  // files align tensors to 8 bytes at best, old ones to 1
      return value;
    }
    case DType::kBF16: {
      bf16_t bits;
      std::memcpy(&bits, source.data + index * 2, 2);
      return bf16_to_f32(bits);
    }
    default: {
      uint16_t bits;
      std::memcpy(&bits, source.data + index * 2, 2);
      return f16_to_f32(bits);
    }
  }
}

// Bytes from data to the value of (row, col).
int64_t packed_offset(const WeightView& view, int64_t row, int64_t col) {
  const int64_t size = dtype_bytes(view.dtype);
  switch (view.layout) {
    case Layout::kRows: return row * view.step_bytes + col * size;
    case Layout::kNeurons: return col * view.step_bytes + row * size;
    default: break;
  }
  const int64_t panel = row / kPanelRows * view.step_bytes, lane = row % kPanelRows;
  return panel + (view.dtype == DType::kBF16 ? (col / 2 * 32 + lane * 2 + col % 2) * 2 : (col * kPanelRows + lane) * 4);
}

constexpr int64_t kItem = 4;  // bytes of a lane in a line: one f32 or a pair of bf16
constexpr int64_t kLine = kPanelRows * kItem;
constexpr int64_t kTile =
    64;  // items of a row, or values a side, that are moved before the next row's: whole cache lines on both sides

// Source and weight of one type: bits are moved, not converted, at the speed of memory. Each zeroes its padding.
void move_panel(const std::byte* rows, int64_t row_bytes, int64_t lanes, int64_t step_bytes, std::byte* out) {
  const int64_t items = row_bytes / kItem, odd = row_bytes % kItem;  // odd: the last bf16 of an odd number
  const int64_t dirty = lanes < kPanelRows ? 0 : items * kLine;
  std::memset(out + dirty, 0, static_cast<size_t>(step_bytes - dirty));
  for (int64_t first = 0; first < items; first += kTile)
    for (int64_t lane = 0; lane < lanes; ++lane)
      for (int64_t i = first; i < std::min(first + kTile, items); ++i)
        std::memcpy(out + i * kLine + lane * kItem, rows + lane * row_bytes + i * kItem, kItem);
  if (odd)
    for (int64_t lane = 0; lane < lanes; ++lane)
      std::memcpy(out + items * kLine + lane * kItem, rows + lane * row_bytes + items * kItem,
                  static_cast<size_t>(odd));
}

void move_row(const std::byte* row, int64_t row_bytes, int64_t step_bytes, std::byte* out) {
  std::memcpy(out, row, static_cast<size_t>(row_bytes));
  std::memset(out + row_bytes, 0, static_cast<size_t>(step_bytes - row_bytes));
}

// Neurons begin .. end of a [rows, cols] matrix.
template <size_t kSize>
void move_neurons(const std::byte* matrix, const WeightView& view, int64_t begin, int64_t end, std::byte* out) {
  const int64_t size = kSize, used = view.rows * size;
  for (int64_t col = begin; col < end; ++col)
    std::memset(out + col * view.step_bytes + used, 0, static_cast<size_t>(view.step_bytes - used));
  for (int64_t first = begin; first < end; first += kTile)
    for (int64_t row0 = 0; row0 < view.rows; row0 += kTile)
      for (int64_t col = first; col < std::min(first + kTile, end); ++col)
        for (int64_t row = row0; row < std::min(row0 + kTile, view.rows); ++row)
          std::memcpy(out + col * view.step_bytes + row * size, matrix + (row * view.cols + col) * size, kSize);
}

void pack_same_type(ThreadPool& pool, const std::byte* source, const WeightView& view, std::byte* out) {
  const int64_t row_bytes = view.cols * dtype_bytes(view.dtype), grain = std::max<int64_t>(1, 262144 / view.step_bytes);
  switch (view.layout) {
    case Layout::kPanels:
      return pool.parallel_for((view.rows + kPanelRows - 1) / kPanelRows, grain, [&](int64_t begin, int64_t end) {
        for (int64_t p = begin; p < end; ++p)
          move_panel(source + p * kPanelRows * row_bytes, row_bytes, std::min(kPanelRows, view.rows - p * kPanelRows),
                     view.step_bytes, out + p * view.step_bytes);
      });
    case Layout::kRows:
      return pool.parallel_for(view.rows, grain, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r)
          move_row(source + r * row_bytes, row_bytes, view.step_bytes, out + r * view.step_bytes);
      });
    case Layout::kNeurons:
      return pool.parallel_for(view.cols, round_up(grain, kTile), [&](int64_t begin, int64_t end) {
        view.dtype == DType::kBF16 ? move_neurons<2>(source, view, begin, end, out)
                                   : move_neurons<4>(source, view, begin, end, out);
      });
    default: throw Error(ErrorCode::kInternal, "pack_weight: blocks are not packed");
  }
}

// Blocks as those of Q4_0, in which the codes mean other numbers.
void pack_iq4_nl(ThreadPool& pool, PackSource source, WeightView view, std::byte* out) {
  if (source.dtype != DType::kIQ4_NL || !has_kernels(view.dtype, view.layout) || view.layout == Layout::kBlocks ||
      view.cols % kBlockCols != 0)
    throw Error(ErrorCode::kInternal, std::string("pack_weight: IQ4_NL is packed in panels or neurons, from whole "
                                                  "blocks of the same type, not from ") +
                                          dtype_name(source.dtype));
  source.dtype = view.dtype = DType::kQ4_0;
  pack_quantized(pool, source, view, out);
}

// True if the value was kept exactly.
bool write_value(DType dtype, float value, std::byte* out) {
  if (dtype == DType::kF32) {
    std::memcpy(out, &value, 4);
    return true;
  }
  const bf16_t bits = f32_to_bf16(value);
  std::memcpy(out, &bits, 2);
  return bf16_to_f32(bits) == value || value != value;
}

}  // namespace

void pack_weight(ThreadPool& pool, const PackSource& source, const WeightView& view, std::byte* out) {
  if (is_quantized(view.dtype)) return pack_quantized(pool, source, view, out);
  if (view.dtype == DType::kIQ4_NL) return pack_iq4_nl(pool, source, view, out);
  if (is_file_type(view.dtype)) return pack_super_blocks(pool, source, view, out);
  const bool known_source = source.dtype == DType::kF32 || source.dtype == DType::kBF16 || source.dtype == DType::kF16;
  if (!known_source || (view.dtype != DType::kF32 && view.dtype != DType::kBF16))
    throw Error(ErrorCode::kInternal,
                std::string("pack_weight: cannot pack ") + dtype_name(source.dtype) + " as " + dtype_name(view.dtype));
  if (view.step_bytes < packed_step_bytes(view.dtype, view.layout, view.rows, view.cols))
    throw Error(ErrorCode::kInternal,
                "pack_weight: step of " + std::to_string(view.step_bytes) + " bytes, at least " +
                    std::to_string(packed_step_bytes(view.dtype, view.layout, view.rows, view.cols)) + " needed");
  if (source.dtype == view.dtype) return pack_same_type(pool, source.data, view, out);
  std::atomic<bool> exact{true};
  const bool neurons = view.layout == Layout::kNeurons;
  const int64_t steps = neurons                          ? view.cols
                        : view.layout == Layout::kPanels ? (view.rows + kPanelRows - 1) / kPanelRows
                                                         : view.rows;
  pool.parallel_for(steps, std::max<int64_t>(1, 65536 / view.step_bytes), [&](int64_t begin, int64_t end) {
    bool kept = true;
    std::memset(out + begin * view.step_bytes, 0, static_cast<size_t>((end - begin) * view.step_bytes));
    const auto put = [&](int64_t row, int64_t col) {
      kept &= write_value(view.dtype, source_value(source, row * view.cols + col), out + packed_offset(view, row, col));
    };
    if (neurons) {  // rows outside, so that a file's row is read in order
      for (int64_t row = 0; row < view.rows; ++row)
        for (int64_t col = begin; col < end; ++col) put(row, col);
    } else {
      const int64_t per_step = view.layout == Layout::kPanels ? kPanelRows : 1;
      for (int64_t row = begin * per_step; row < std::min(end * per_step, view.rows); ++row)
        for (int64_t col = 0; col < view.cols; ++col) put(row, col);
    }
    if (!kept) exact.store(false, std::memory_order_relaxed);
  });
  if (!exact.load())
    throw Error(ErrorCode::kInternal,
                std::string("pack_weight: ") + dtype_name(source.dtype) + " values do not fit bf16 exactly");
}

void decode_values(DType dtype, const std::byte* data, int64_t n, float* out) {
  quant::decode_row(dtype, data, n, out);
}

void expect_finite_scales(ThreadPool& pool, const PackSource& source, int64_t rows, int64_t cols) {
  if (!is_block_type(source.dtype)) return;
  const int64_t row_bytes = dtype_bytes(source.dtype, cols), blocks = cols / dtype_facts(source.dtype).block_values;
  std::atomic<int64_t> first{INT64_MAX};  // in blocks of the tensor
  pool.parallel_for(rows, std::max<int64_t>(1, (1 << 20) / row_bytes), [&](int64_t begin, int64_t end) {
    const int64_t bad = quant::first_bad_block(source.dtype, source.data + begin * row_bytes, (end - begin) * cols);
    if (bad < 0) return;
    const int64_t block = begin * blocks + bad;
    for (int64_t seen = first; block < seen && !first.compare_exchange_weak(seen, block);) {
    }
  });
  if (const int64_t block = first; block != INT64_MAX)
    throw Error(ErrorCode::kBadFile, "row " + std::to_string(source.first_row + block / blocks) + ", block " +
                                         std::to_string(block % blocks) + ": expected a finite scale of " +
                                         dtype_name(source.dtype) + ", found another");
}

float weight_value(const WeightView& view, int64_t row, int64_t col) {
  if (view.layout == Layout::kBlocks) {
    const DTypeFacts facts = dtype_facts(view.dtype);
    float values[256];
    quant::decode_row(view.dtype, view.data + row * view.step_bytes + col / facts.block_values * facts.block_bytes,
                      facts.block_values, values);
    return values[col % facts.block_values];
  }
  if (is_quantized(view.dtype) || view.dtype == DType::kIQ4_NL) return quantized_value(view, row, col);
  if (is_file_type(view.dtype)) return super_block_value(view, row, col);
  const std::byte* at = view.data + packed_offset(view, row, col);
  return source_value({view.dtype, at}, 0);
}

}  // namespace g3n
