// WeightView: one weight in memory, type-erased because files decide the format. A null view is a weight that is not there.
// Layouts: design.md 3.4; docs/architecture.md has the glossary (line, block, panel).
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/dtype.h"

namespace g3n {

inline constexpr int64_t kPanelRows = 16;   // outputs of one panel
inline constexpr int64_t kBlockCols = 32;   // inputs of one block: sums are taken block by block

enum class Layout : uint8_t {
  kPanels,   // [out, in] in panels of 16 outputs; f32 line: 16 rows x 1 input, bf16 line: 16 rows x 2 inputs (pairs adjacent)
  kRows,     // [out, in] row by row: single outputs can be picked (`up` of sparse layers)
  kNeurons,  // [out, in] transposed, stored [in][out]: single inputs can be picked (`down` of sparse layers)
};

struct WeightView {
  DType dtype = DType::kF32;
  Layout layout = Layout::kPanels;
  int64_t rows = 0;  // outputs, logical
  int64_t cols = 0;  // inputs, logical
  // Bytes from one panel (kPanels), row (kRows) or neuron (kNeurons) to the next; a multiple of 64. Padding is zero: rows to 16,
  // cols to 32, in kNeurons outputs to 32.
  int64_t step_bytes = 0;
  const std::byte* data = nullptr;

  explicit operator bool() const { return data != nullptr; }
};

// Bytes that a weight takes when packed.
constexpr int64_t round_up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }
constexpr int64_t packed_step_bytes(DType dtype, Layout layout, int64_t rows, int64_t cols) {
  switch (layout) {
    case Layout::kPanels: return kPanelRows * round_up(cols, kBlockCols) * dtype_bytes(dtype);
    case Layout::kRows: return round_up(cols, kBlockCols) * dtype_bytes(dtype);
    case Layout::kNeurons: return round_up(rows, kBlockCols) * dtype_bytes(dtype);
  }
  return 0;
}
constexpr int64_t packed_bytes(DType dtype, Layout layout, int64_t rows, int64_t cols) {
  const int64_t steps = layout == Layout::kPanels ? round_up(rows, kPanelRows) / kPanelRows : layout == Layout::kRows ? rows : cols;
  return steps * packed_step_bytes(dtype, layout, rows, cols);
}

}  // namespace g3n
