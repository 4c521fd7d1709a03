// Products with weights that stay in the blocks of their file: each thread decodes a panel of 16 rows to f32 and multiplies by that. The bits are those of
// the same values packed as f32 panels.
#include <atomic>

#include "kernels/ops_internal.h"
#include "kernels/quant/gguf_blocks.h"

namespace g3n {
namespace {

constexpr int64_t kTileInputs = 256;              // a multiple of every block
constexpr int64_t kTileStep = kTileInputs + 16;   // rows of a tile in different sets of L1

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
    for (int64_t k = 0; k < inputs; ++k)
      for (int64_t r = 0; r < kPanelRows; ++r) out[k * kPanelRows + r] = tile[r * kTileStep + k];
  }
}

}  // namespace

void multiply_blocks(Context& ctx, View<const float, 2> x, const WeightView& w, View<float, 2> out) {
  expect(w.cols % dtype_facts(w.dtype).block_values == 0, "matmul: the rows of the weight are not whole blocks");
  const quant::RowDecoder decode = quant::row_decoder(w.dtype);
  const ArenaScope scope(ctx.arena);
  const int64_t panels = (w.rows + kPanelRows - 1) / kPanelRows, panel_floats = round_up(w.cols, kBlockCols) * kPanelRows;
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
