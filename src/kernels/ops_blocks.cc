// Products with weights that stay in the blocks of their file: each thread decodes a panel of 16 rows to f32 and
// multiplies by that. The bits are those of the same values packed as f32 panels.
#include <atomic>
#include <cstring>

#include "kernels/ops_internal.h"
#include "kernels/quant/gguf_blocks.h"

namespace g3n {
namespace {

constexpr int64_t kTileInputs = 256;             // a multiple of every block
constexpr int64_t kTileStep = kTileInputs + 16;  // rows of a tile in different sets of L1

typedef float Four __attribute__((vector_size(16)));

// 4 inputs of 4 rows of a tile, to 4 rows of 4 inputs of a panel.
inline void transpose_four(const float* tile, float* panel) {
  Four a, b, c, d;
  std::memcpy(&a, tile, 16), std::memcpy(&b, tile + kTileStep, 16), std::memcpy(&c, tile + 2 * kTileStep, 16),
      std::memcpy(&d, tile + 3 * kTileStep, 16);
  const Four ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const Four cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5), cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  const Four out[4] = {
      __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5), __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7),
      __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5), __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7)};
  for (int64_t k = 0; k < 4; ++k) std::memcpy(panel + k * kPanelRows, &out[k], 16);
}

// Rows first .. first + 16 as a panel of f32 (core/weight.h); rows beyond the last are zero.
void decode_panel(const WeightView& w, quant::RowDecoder decode, int64_t first, float* panel) {
  alignas(kAlignment) float tile[kPanelRows * kTileStep];
  const int64_t rows = std::min(kPanelRows, w.rows - first);
  std::fill(tile + rows * kTileStep, tile + kPanelRows * kTileStep, 0.0f);
  for (int64_t begin = 0; begin < w.cols; begin += kTileInputs) {
    const int64_t inputs = std::min(kTileInputs, w.cols - begin);
    const std::byte* blocks = w.data + first * w.step_bytes + dtype_bytes(w.dtype, begin);
    for (int64_t r = 0; r < rows; ++r) decode(blocks + r * w.step_bytes, inputs, tile + r * kTileStep);
    float* out = panel + begin * kPanelRows;
    const int64_t fours = inputs / 4 * 4;
    for (int64_t k = 0; k < fours; k += 4)
      for (int64_t r = 0; r < kPanelRows; r += 4) transpose_four(tile + r * kTileStep + k, out + k * kPanelRows + r);
    for (int64_t k = fours; k < inputs; ++k)
      for (int64_t r = 0; r < kPanelRows; ++r) out[k * kPanelRows + r] = tile[r * kTileStep + k];
  }
}

}  // namespace

void multiply_blocks(Context& ctx, View<const float, 2> x, const WeightView& w, View<float, 2> out) {
  expect(w.cols % dtype_facts(w.dtype).block_values == 0, "matmul: the rows of the weight are not whole blocks");
  const quant::RowDecoder decode = quant::row_decoder(w.dtype);
  const ArenaScope scope(ctx.arena);
  const int64_t panels = (w.rows + kPanelRows - 1) / kPanelRows,
                panel_floats = round_up(w.cols, kBlockCols) * kPanelRows;
  const int64_t workers = w.rows * w.cols < kSerialValues ? 1 : std::min<int64_t>(ctx.pool.threads(), panels);
  float* memory = ctx.arena.take<float>(workers * panel_floats);
  std::atomic<int64_t> next{0};
  ctx.pool.parallel_for(workers, 1, [&](int64_t begin, int64_t end) {
    for (int64_t worker = begin; worker < end; ++worker) {
      float* panel = memory + worker * panel_floats;
      for (int64_t p = next++; p < panels; p = next++) {
        decode_panel(w, decode, p * kPanelRows, panel);
        ctx.kernels.matmul_f32({.x = x.data,
                                .x_step = x.step[0],
                                .rows = x.dim[0],
                                .weight = panel,
                                .panel_step = panel_floats * 4,
                                .cols = w.cols,
                                .out = out.data + p * kPanelRows,
                                .out_step = out.step[0],
                                .outputs = std::min(kPanelRows, w.rows - p * kPanelRows)});
      }
    }
  });
}

}  // namespace g3n
