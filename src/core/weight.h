// WeightView, TableView: one weight in memory, type-erased because files decide the format; views of parts of it. A
// null view is a weight that is not there. Layouts: design.md 3.4; docs/architecture.md has the glossary (line, block,
// panel).
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/dtype.h"

namespace g3n {

inline constexpr int64_t kPanelRows = 16;  // outputs of one panel
inline constexpr int64_t kBlockCols = 32;  // inputs of one block: sums are taken block by block

enum class Layout : uint8_t {
  kPanels,   // [out, in] in panels of 16 outputs
  kRows,     // [out, in] row by row: single outputs can be picked (`up` of sparse layers)
  kNeurons,  // [out, in] transposed, stored [in][out]: single inputs can be picked (`down` of sparse layers)
  kBlocks,   // [out, in] in the blocks of a GGUF file, as they are: decoded tile by tile, slow but for any type; single
             // outputs can be picked where the type has kernels
};
// kPanels, by type (a line is 64 bytes):
//   f32: a line is 16 rows x 1 input. bf16: 16 rows x 2 inputs, pairs adjacent.
//   q8, q4: per pair of blocks (64 inputs) one line of scales f16[16] | f16[16], then the code lines of the first
//   block, then of the second.
//     q8: 8 lines a block, line j: byte 4 * row + k = code of input 4j + k, plus 128 (unsigned).
//     q4: 4 lines a block, line m: byte 4 * row + k = code of input 8m + k in the low nibble, of input 8m + 4 + k in
//     the high nibble; unsigned, value - 8.
//   q4_1, q5_0, q5_1 (of GGUF, the file's values to the bit): as q4; q5_0 has five code lines a block, value = d *
//     (u - 16); q4_1 and q5_1 (five code lines) have a line d f16[16] | -m f16[16] for each block, value = d * u + m.
//     The fifth line: bit k of byte 4 * row + i = bit 4 of the code of input 4k + i.
//   q4k, q5k, q6k (Q4_K, Q5_K, Q6_K of GGUF, the file's values to the bit): per super-block of 256 inputs, b a block of
//   it and u a code, unsigned:
//     q4k, q5k: a line d f16[16] | dmin f16[16]; 4 lines, of each block sc u8[16] and mn u8[16]; then block by block
//       4 code lines as in q4, in q5k followed by a line of fifth bits: bit k of byte 4 * row + i = bit 4 of the code
//       of input 4k + i. Value = (d * sc) * u - dmin * mn.
//     q6k: a line d f32[16]; 4 lines, of each half of a block (16 inputs) sc s8[16]; then block by block 4 code lines
//       as in q4 and two lines of high bits: bits 2k and 2k + 1 of byte 4 * row + i of line t = bits 4 and 5 of the
//       code of input 16t + 4k + i. Value = (d * sc) * (u - 32).
//   iq4nl (IQ4_NL): as q4; value = d * T[u], T the 16 numbers of kIq4Values. iq4xs (IQ4_XS): per super-block a line d
//   f32[16], two lines, of each block ls s8[16], then 4 code lines a block as in q4; value = (d * ls) * T[u].
// kRows: q8: int8 codes of a row, then its scales f16[blocks]. q4: byte k of each group of 32 bytes: code (unsigned,
// value - 8) of input 64p + k in the low
//   nibble, of input 64p + 32 + k in the high nibble; then the scales f16[blocks].
// kNeurons of q8, q4 and iq4nl: groups of 32 neurons (inputs): a plane of scales f16[outputs], then the codes of each
//   neuron, arranged as in kRows (iq4nl: as q4). q4_1, q5_1: a second plane, -m f16[outputs]; q5_0, q5_1: behind the
//   codes the high bits, as q5k has them.
//   q4k, q5k, q6k, iq4xs: per super-block of 256 neurons planes d f16[outputs] and (q4k, q5k) dmin f16[outputs], then
//   eight groups of 32: planes (q4k, q5k) sc u8, mn u8, (q6k) sc s8 of the first 16 neurons, of the other 16, (iq4xs)
//   ls s8, each [outputs]; then of each neuron its nibbles as q4 has them, and of all neurons, one by one, the high
//   bits: q5k: bit j of byte l of the 16 bytes for 128 outputs = bit 4 of the code of output 16j + l; q6k: bits 2j and
//   2j + 1 of byte l of the 16 bytes for 64 outputs = bits 4 and 5 of the code of output 16j + l.
// kBlocks: row by row the blocks of the file (spec of GGUF, section 7), at any address.

struct WeightView {
  DType dtype = DType::kF32;
  Layout layout = Layout::kPanels;
  int64_t rows = 0;  // outputs, logical
  int64_t cols = 0;  // inputs, logical
  // Bytes from one panel (kPanels), row (kRows, kBlocks), neuron (kNeurons) or group of neurons (kNeurons of codes:
  // neuron_group) to the next; a multiple of 64 but in kBlocks. Padding is zero: outputs to 16 in panels, inputs to 32
  // (types with blocks of 32: 64; the others have whole super-blocks); in kNeurons outputs to 32 (128).
  int64_t step_bytes = 0;
  const std::byte* data = nullptr;

  explicit operator bool() const { return data != nullptr; }
};

// A table of embeddings, row-major as in its file: rows are looked up.
struct TableView {
  DType dtype = DType::kBF16;  // f32, bf16, f16 or a block type (rows of whole blocks)
  int64_t rows = 0, cols = 0;
  const std::byte* data = nullptr;
  // Values as this type would keep them: what a bundle packed from this table gives. f32: as they are; bf16; q8 (cols a
  // multiple of 32). Tables of plain types alone are rounded.
  DType rounded_to = DType::kF32;
  // A file to read rows from, `data` not needed then: a mapped row would draw the pages around it into memory. The
  // descriptor is the source's, which outlives the view.
  int fd = -1;
  int64_t file_offset = 0;     // of row 0
  const char* file = nullptr;  // its name for messages, the source's; may be null
};

// Bytes that a weight takes when packed.
constexpr int64_t round_up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }
// q8 and q4: codes in every layout.
constexpr bool is_quantized(DType dtype) { return dtype == DType::kQ8_0 || dtype == DType::kQ4_0; }
// Types of GGUF that are packed from the blocks of a file only, to panels and neurons; their rows are read as blocks.
constexpr bool is_file_type(DType dtype) {
  switch (dtype) {
    case DType::kQ4_1:
    case DType::kQ5_0:
    case DType::kQ5_1:
    case DType::kQ4_K:
    case DType::kQ5_K:
    case DType::kQ6_K:
    case DType::kIQ4_NL:
    case DType::kIQ4_XS: return true;
    default: return false;
  }
}
// Types that are multiplied with activations in int8.
constexpr bool has_codes(DType dtype) { return is_quantized(dtype) || is_file_type(dtype); }
// Are there kernels for weights of this type in this layout? kBlocks: for single rows; in products with all rows any
// block type is decoded.
constexpr bool has_kernels(DType dtype, Layout layout) {
  if (is_file_type(dtype)) return layout != Layout::kRows;
  return layout != Layout::kBlocks && (dtype == DType::kF32 || dtype == DType::kBF16 || is_quantized(dtype));
}
// Bytes of codes that lie without high bits apart: of q8, q4 and iq4nl.
constexpr int64_t code_bytes(DType dtype, int64_t codes) { return dtype == DType::kQ8_0 ? codes : codes / 2; }
inline constexpr int64_t kPairCols = 64;        // inputs that share a line of scales
inline constexpr int64_t kNeuronOutputs = 128;  // outputs of quantised neuron layouts are padded to this

// Inputs of a panel that stand together, and their bytes: a panel can be cut before any such group.
struct PanelGroup {
  int64_t cols, bytes;
};
constexpr PanelGroup panel_group(DType dtype) {
  switch (dtype) {
    case DType::kQ8_0: return {kPairCols, 17 * 64};
    case DType::kQ4_0:
    case DType::kIQ4_NL: return {kPairCols, 9 * 64};
    case DType::kQ4_1: return {kPairCols, 10 * 64};
    case DType::kQ5_0: return {kPairCols, 11 * 64};
    case DType::kQ5_1: return {kPairCols, 12 * 64};
    case DType::kQ4_K: return {256, 37 * 64};
    case DType::kQ5_K: return {256, 45 * 64};
    case DType::kQ6_K: return {256, 53 * 64};
    case DType::kIQ4_XS: return {256, 35 * 64};
    default: return {kBlockCols, kPanelRows * kBlockCols * dtype_bytes(dtype)};
  }
}

// Codes in kNeurons: neurons that stand together (a weight can be cut before any such group), and bytes for each
// output: of the planes before their groups of 32, and of such a group.
struct NeuronGroup {
  int64_t neurons, head_bytes, group_bytes;
};
constexpr NeuronGroup neuron_group(DType dtype) {
  switch (dtype) {
    case DType::kQ8_0: return {kBlockCols, 0, 34};
    case DType::kQ4_0:
    case DType::kIQ4_NL: return {kBlockCols, 0, 18};
    case DType::kQ4_1: return {kBlockCols, 0, 20};
    case DType::kQ5_0: return {kBlockCols, 0, 22};
    case DType::kQ5_1: return {kBlockCols, 0, 24};
    case DType::kQ4_K: return {256, 4, 18};
    case DType::kQ5_K: return {256, 4, 22};
    case DType::kQ6_K: return {256, 2, 26};
    case DType::kIQ4_XS: return {256, 2, 17};
    default: return {1, 0, 0};  // floats
  }
}

constexpr int64_t packed_step_bytes(DType dtype, Layout layout, int64_t rows, int64_t cols) {
  if (layout == Layout::kBlocks) return dtype_bytes(dtype, cols);
  if (layout == Layout::kPanels) {
    const PanelGroup group = panel_group(dtype);
    return round_up(cols, group.cols) / group.cols * group.bytes;
  }
  if (has_codes(dtype)) {
    const int64_t inputs = round_up(cols, kPairCols);
    const NeuronGroup group = neuron_group(dtype);
    return layout == Layout::kRows
               ? round_up(code_bytes(dtype, inputs) + inputs / kBlockCols * 2, 64)
               : round_up(rows, kNeuronOutputs) * (group.head_bytes + group.neurons / kBlockCols * group.group_bytes);
  }
  return round_up(layout == Layout::kRows ? cols : rows, kBlockCols) * dtype_bytes(dtype);
}
constexpr int64_t packed_bytes(DType dtype, Layout layout, int64_t rows, int64_t cols) {
  const int64_t neurons = neuron_group(dtype).neurons;
  const int64_t steps = layout == Layout::kPanels    ? round_up(rows, kPanelRows) / kPanelRows
                        : layout != Layout::kNeurons ? rows
                                                     : round_up(cols, neurons) / neurons;
  return steps * packed_step_bytes(dtype, layout, rows, cols);
}

// ---- parts of a weight, in the same bytes
// The first output of rows_of is a multiple of this: a panel, or a row where rows lie one by one. 0: neurons in codes
// cannot be cut by outputs, since where their codes lie follows from the number of outputs.
constexpr int64_t row_cut(const WeightView& weight) {
  switch (weight.layout) {
    case Layout::kPanels: return kPanelRows;
    case Layout::kNeurons: return has_codes(weight.dtype) ? 0 : kBlockCols;
    default: return 1;
  }
}
// First and last input of inputs_of lie at multiples of this: where sums are taken block by block the part's sums are
// those of the whole. 0: quantised rows cannot be cut by inputs, since where their scales lie follows from their
// number.
constexpr int64_t input_cut(const WeightView& weight) {
  if (weight.layout == Layout::kPanels) return panel_group(weight.dtype).cols;
  if (has_codes(weight.dtype) && weight.layout != Layout::kBlocks)
    return weight.layout == Layout::kNeurons ? neuron_group(weight.dtype).neurons : 0;
  const int64_t block = dtype_facts(weight.dtype).block_values;
  return block > kBlockCols ? block : kBlockCols;
}
// Outputs first .. first + count. A product with the part has the bits of the whole product's columns. What pads the
// part to a panel is not zero but the next outputs of the whole. Throws kInternal unless first is a multiple of row_cut
// and count at least 1 (or the part is the whole).
WeightView rows_of(const WeightView& weight, int64_t first, int64_t count);
// Inputs first .. first + count: a product with the part is that of the whole with all other inputs zero. Throws
// kInternal unless first and first + count are multiples of input_cut; the last input of the whole may end the part,
// too.
WeightView inputs_of(const WeightView& weight, int64_t first, int64_t count);

}  // namespace g3n
