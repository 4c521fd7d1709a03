// The sparse feed-forward of ops.h: live neurons are listed per row, then picked from `up` (by row) and `down` (by neuron).
#include "kernels/ops_internal.h"

namespace g3n {
namespace {

// The live neurons of all rows, row after row.
struct LiveNeurons {
  int64_t* begin;     // [rows + 1]
  int32_t* neurons;   // ascending within a row
  float* values;      // gelu(gate), later gelu(gate) * (up * x)
};

LiveNeurons list_live(Context& ctx, View<const float, 2> gate) {
  const int64_t rows = gate.dim[0], ffn = gate.dim[1];
  LiveNeurons live;
  live.begin = ctx.arena.take<int64_t>(rows + 1);
  live.begin[0] = 0;
  for_rows(ctx, rows, ffn, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      int64_t count = 0;
      for (int64_t i = 0; i < ffn; ++i) count += gate.row(r)[i] != 0.0f;
      live.begin[r + 1] = count;
    }
  });
  for (int64_t r = 0; r < rows; ++r) live.begin[r + 1] += live.begin[r];
  live.neurons = ctx.arena.take<int32_t>(live.begin[rows] + 1);
  live.values = ctx.arena.take<float>(live.begin[rows] + 1);
  for_rows(ctx, rows, ffn, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      int64_t at = live.begin[r];
      const float* g = gate.row(r);
      for (int64_t i = 0; i < ffn; ++i)
        if (g[i] != 0.0f) live.neurons[at] = static_cast<int32_t>(i), live.values[at++] = g[i];
      ctx.kernels.gelu(live.values + live.begin[r], live.values + live.begin[r], at - live.begin[r]);
    }
  });
  return live;
}

struct SparseProduct {
  Context& ctx;
  View<const float, 2> x;
  const WeightView &up, &down;
  View<float, 2> out;
  LiveNeurons live;
  float* dots;  // [live]

  // values *= up * x for the live neurons first .. first + count (places in the lists) of one row.
  void go_up(int64_t row, int64_t first, int64_t count) const {
    const NeuronDot d{x.row(row), up.cols, up.data, up.step_bytes, live.neurons + first, count, dots + first};
    up.dtype == DType::kBF16 ? ctx.kernels.neuron_dot_bf16(d) : ctx.kernels.neuron_dot_f32(d);
    ctx.kernels.mul(live.values + first, dots + first, live.values + first, count);
    if (ctx.compute == ComputeType::kBF16) ctx.kernels.round_bf16(live.values + first, live.values + first, count);
  }
  // out += down * values over the same neurons; columns col .. col + width.
  void go_down(int64_t row, int64_t first, int64_t count, int64_t col, int64_t width) const {
    const NeuronSum s{live.neurons + first, live.values + first, count, down.data, down.step_bytes, col, width, out.row(row) + col};
    down.dtype == DType::kBF16 ? ctx.kernels.neuron_sum_bf16(s) : ctx.kernels.neuron_sum_f32(s);
  }

  // Few rows: the neurons of a row, then the columns, are split over the threads.
  void by_row() const {
    for (int64_t r = 0; r < x.dim[0]; ++r) {
      const int64_t first = live.begin[r], count = live.begin[r + 1] - first, hidden = down.rows;
      for_rows(ctx, count, up.cols / 4, [&](int64_t begin, int64_t end) { go_up(r, first + begin, end - begin); });
      std::fill(out.row(r), out.row(r) + hidden, 0.0f);
      for_rows(ctx, (hidden + 15) / 16, count * 4, [&](int64_t begin, int64_t end) {
        go_down(r, first, count, begin * 16, std::min(end * 16, hidden) - begin * 16);
      });
    }
  }

  // Many rows: a block of rows goes through the neurons group by group, so that a group's weights are read once for all of them.
  void by_group(int64_t row_begin, int64_t row_end, int64_t* place) const {
    for (int64_t r = row_begin; r < row_end; ++r) {
      place[r] = live.begin[r];
      std::fill(out.row(r), out.row(r) + down.rows, 0.0f);
    }
    for (int64_t limit = kBlockCols; limit < up.rows + kBlockCols; limit += kBlockCols)
      for (int64_t r = row_begin; r < row_end; ++r) {
        const int64_t first = place[r];
        int64_t last = first;
        while (last < live.begin[r + 1] && live.neurons[last] < limit) ++last;
        if (last == first) continue;
        go_up(r, first, last - first);
        go_down(r, first, last - first, 0, down.rows);
        place[r] = last;
      }
  }
};

}  // namespace

void sparse_feed_forward(Context& ctx, View<const float, 2> x, View<const float, 2> gate, const WeightView& up, const WeightView& down,
                         View<float, 2> out) {
  expect_weight(up, Layout::kRows, "sparse_feed_forward up");
  expect_weight(down, Layout::kNeurons, "sparse_feed_forward down");
  const int64_t rows = x.dim[0];
  expect_shape(x, {rows, up.cols}, "sparse_feed_forward x");
  expect_shape(gate, {rows, up.rows}, "sparse_feed_forward gate");
  expect_shape(out, {rows, down.rows}, "sparse_feed_forward out");
  expect(down.cols == up.rows, "sparse_feed_forward: `up` and `down` differ in their neurons");
  if (rows == 0) return;
  const ArenaScope scope(ctx.arena);
  const View<const float, 2> input = rounded_input(ctx, x);
  const LiveNeurons live = list_live(ctx, gate);
  const SparseProduct product{ctx, input, up, down, out, live, ctx.arena.take<float>(live.begin[rows] + 1)};
  if (rows < 4 * ctx.pool.threads()) return product.by_row();
  int64_t* place = ctx.arena.take<int64_t>(rows);
  const int64_t tasks = ctx.pool.threads() * std::max<int64_t>(1, rows / (ctx.pool.threads() * 256));
  const int64_t block = (rows + tasks - 1) / tasks;
  ctx.pool.parallel_for((rows + block - 1) / block, 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) product.by_group(b * block, std::min((b + 1) * block, rows), place);
  });
}

}  // namespace g3n
