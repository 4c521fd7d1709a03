// Dense products of ops.h: rounding of the inputs once, and the split into tasks of (rows x panels).
#include <algorithm>
#include <string>

#include "g3n/error.h"
#include "kernels/ops_internal.h"

namespace g3n {
namespace {

// One x in the forms that the weights of a call ask for.
struct Inputs {
  View<const float, 2> f32;      // as it is, or rounded to bf16 values
  const bf16_t* bf16 = nullptr;  // [rows, bf16_step], zero beyond cols; only for tables with bf16_dot
  int64_t bf16_step = 0;
  QuantizedRows coded{};  // for weights in codes
};

constexpr int64_t kMaxProducts = 8;
constexpr int64_t kMostRows = 480;  // of one task
constexpr int64_t kRunPanels = 16;  // panels whose chunk of inputs stays in L2 while a task goes over its rows

// So many rows pass over all inputs of a panel at once: decode, bound by memory.
int64_t most_streamed_rows(DType dtype) { return has_codes(dtype) ? 4 : 3; }

struct Split {
  int64_t row_block, row_blocks, run, runs;  // run: panels of one task
};

Split split_product(const Context& ctx, int64_t rows, const WeightView& w) {
  const int64_t panels = (w.rows + kPanelRows - 1) / kPanelRows;
  const bool streamed = rows <= most_streamed_rows(w.dtype);
  const int64_t tasks_wanted = ctx.pool.threads() == 1 ? 1 : ctx.pool.threads() * 4;
  Split s;
  s.run = streamed ? panels : std::min(panels, kRunPanels);
  s.runs = (panels + s.run - 1) / s.run;
  s.row_blocks =
      std::clamp<int64_t>((tasks_wanted + s.runs - 1) / s.runs, (rows + kMostRows - 1) / kMostRows, (rows + 23) / 24);
  s.row_block = round_up((rows + s.row_blocks - 1) / s.row_blocks, 12);
  s.row_blocks = (rows + s.row_block - 1) / s.row_block;
  if (s.runs * s.row_blocks < tasks_wanted) {  // thinner runs, for decode in fours: four panels are read at once
    s.run = (panels * s.row_blocks + tasks_wanted - 1) / tasks_wanted;
    s.run = std::min(panels, streamed ? round_up(s.run, 4) : s.run);
    s.runs = (panels + s.run - 1) / s.run;
  }
  return s;
}

QuantizedRows rows_from(const QuantizedRows& x, int64_t row) {
  const int64_t block = row * (x.code_step / kBlockCols);
  return {.codes = x.codes + row * x.code_step,
          .code_step = x.code_step,
          .scales = x.scales + block,
          .starts = x.starts + block,
          .half_starts = x.half_starts ? x.half_starts + 2 * block : nullptr,
          .minima = x.minima ? x.minima + block : nullptr};
}

// Rows of a quantised task against a run of panels.
void run_quantized_task(const Context& ctx, const QuantizedRows& x, const WeightView& w, int64_t row, int64_t rows,
                        int64_t panel, int64_t panels, View<float, 2> out) {
  const QuantMatmul m{.x = rows_from(x, row),
                      .rows = rows,
                      .weight = w.data + panel * w.step_bytes,
                      .panel_step = w.step_bytes,
                      .cols = round_up(w.cols, kPairCols),
                      .out = out.row(row) + panel * kPanelRows,
                      .out_step = out.step[0],
                      .outputs = std::min(panels * kPanelRows, w.rows - panel * kPanelRows)};
  code_kernels(ctx.kernels, w.dtype).matmul(m);
}

void run_task(const Context& ctx, const Inputs& x, const Product& product, const Split& split, int64_t task) {
  const WeightView& w = product.weight;
  const int64_t row = task % split.row_blocks * split.row_block, panel = task / split.row_blocks * split.run;
  const int64_t rows = std::min(split.row_block, x.f32.dim[0] - row);
  if (has_codes(w.dtype)) return run_quantized_task(ctx, x.coded, w, row, rows, panel, split.run, product.out);
  PanelMatmul m;
  m.rows = rows;
  m.cols = w.cols;
  m.weight = w.data + panel * w.step_bytes;
  m.panel_step = w.step_bytes;
  m.out = product.out.row(row) + panel * kPanelRows;
  m.out_step = product.out.step[0];
  m.outputs = std::min(split.run * kPanelRows, w.rows - panel * kPanelRows);
  if (w.dtype == DType::kBF16 && x.bf16) {
    m.x = x.bf16 + row * x.bf16_step;
    m.x_step = x.bf16_step;
    return ctx.kernels.matmul_bf16_bf16(m);
  }
  m.x = x.f32.row(row);
  m.x_step = x.f32.step[0];
  w.dtype == DType::kBF16 ? ctx.kernels.matmul_bf16(m) : ctx.kernels.matmul_f32(m);
}

Inputs prepare_inputs(Context& ctx, View<const float, 2> x, std::span<const Product> products, ComputeType compute) {
  Inputs inputs{.f32 = x};
  bool f32_weights = false, bf16_weights = false, quantized_weights = false;
  CodeSums sums = CodeSums::kOfBlocks;
  for (const Product& p : products) {
    const bool blocks = p.weight.layout == Layout::kBlocks;
    (blocks                           ? f32_weights
     : has_codes(p.weight.dtype)      ? quantized_weights
     : p.weight.dtype == DType::kBF16 ? bf16_weights
                                      : f32_weights) = true;
    if (!blocks) sums = std::max(sums, sums_for(p.weight.dtype));
  }
  if (quantized_weights) inputs.coded = quantize_rows(ctx, x, sums);
  if (compute == ComputeType::kF32) return inputs;
  const int64_t rows = x.dim[0], cols = x.dim[1];
  if (bf16_weights && ctx.kernels.bf16_dot) {
    const int64_t step = round_up(cols, kBlockCols);
    bf16_t* out = ctx.arena.take<bf16_t>(rows * step);
    for_rows(ctx, rows, cols, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        ctx.kernels.to_bf16(x.row(r), out + r * step, cols);
        std::fill(out + r * step + cols, out + (r + 1) * step, bf16_t{0});
      }
    });
    inputs.bf16 = out, inputs.bf16_step = step;
  }
  if (f32_weights || (bf16_weights && !ctx.kernels.bf16_dot)) inputs.f32 = rounded_input(ctx, x);
  return inputs;
}

void multiply(Context& ctx, View<const float, 2> x, std::span<const Product> products, ComputeType compute) {
  expect(products.size() <= kMaxProducts, "matmul: more than 8 products in one call");
  const int64_t rows = x.dim[0], cols = x.dim[1];
  if (rows == 0) return;
  Split splits[kMaxProducts];
  int64_t tasks = 0, work = 0;
  for (size_t i = 0; i < products.size(); ++i) {
    const WeightView& w = products[i].weight;
    const bool blocks = w.layout == Layout::kBlocks;
    expect_weight(w, blocks ? Layout::kBlocks : Layout::kPanels, "matmul");
    expect(blocks || !is_file_type(w.dtype) || w.cols % dtype_facts(w.dtype).block_values == 0,
           "matmul: the columns of the weight are not whole blocks");
    expect_shape(x, {rows, w.cols}, "matmul x");
    expect_shape(products[i].out, {rows, w.rows}, "matmul out");
    // Blocks come after the others; a weight without outputs is no work.
    splits[i] = blocks || w.rows == 0 ? Split{} : split_product(ctx, rows, w);
    tasks += splits[i].row_blocks * splits[i].runs;
    work += rows * w.rows * cols / 8;
  }
  const ArenaScope scope(ctx.arena);
  const Inputs inputs = prepare_inputs(ctx, x, products, compute);
  ctx.pool.parallel_for(tasks, work < kSerialValues ? tasks : 1, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      size_t i = 0;
      int64_t task = t;
      while (task >= splits[i].row_blocks * splits[i].runs) task -= splits[i].row_blocks * splits[i].runs, ++i;
      run_task(ctx, inputs, products[i], splits[i], task);
    }
  });
  for (const Product& p : products)
    if (p.weight.layout == Layout::kBlocks) multiply_blocks(ctx, inputs.f32, p.weight, p.out);
}

}  // namespace

const CodeKernels& code_kernels(const KernelTable& table, DType dtype) {
  switch (dtype) {
    case DType::kQ8_0: return table.q8;
    case DType::kQ4_0: return table.q4;
    case DType::kQ4_1: return table.q4_1;
    case DType::kQ5_0: return table.q5_0;
    case DType::kQ5_1: return table.q5_1;
    case DType::kQ4_K: return table.q4k;
    case DType::kQ5_K: return table.q5k;
    case DType::kQ6_K: return table.q6k;
    case DType::kIQ4_NL: return table.iq4nl;
    case DType::kIQ4_XS: return table.iq4xs;
    default: throw Error(ErrorCode::kInternal, std::string("there are no kernels for codes of ") + dtype_name(dtype));
  }
}

CodeSums sums_for(DType dtype) {
  switch (dtype) {
    case DType::kQ4_1:
    case DType::kQ5_1:
    case DType::kQ4_K:
    case DType::kQ5_K:
    case DType::kQ6_K: return CodeSums::kForMinima;
    default: return CodeSums::kOfBlocks;
  }
}

void expect(bool condition, const char* message) {
  if (!condition) throw Error(ErrorCode::kInternal, message);
}

void expect_weight(const WeightView& weight, Layout layout, const char* op) {
  if (!weight) throw Error(ErrorCode::kInternal, std::string(op) + ": the weight is null");
  if (weight.layout != layout) throw Error(ErrorCode::kInternal, std::string(op) + ": the weight has the wrong layout");
  if (layout == Layout::kBlocks || has_kernels(weight.dtype, layout)) return;
  throw Error(ErrorCode::kInternal,
              std::string(op) + ": weights in this layout are F32, BF16, Q8_0, Q4_0" +
                  (layout == Layout::kRows ? "" : ", Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K, IQ4_NL or IQ4_XS") +
                  ", this one is " + dtype_name(weight.dtype));
}

void for_rows(Context& ctx, int64_t rows, int64_t cost, RangeFunction f) {
  if (rows <= 0) return;
  if (rows * cost < kSerialValues || ctx.pool.threads() == 1) return f(0, rows);
  const int64_t smallest = (kSerialValues / 4 + cost - 1) / std::max<int64_t>(cost, 1);
  ctx.pool.parallel_for(rows, std::max(smallest, rows / (ctx.pool.threads() * 4)), f);
}

View<const float, 2> rounded_input(Context& ctx, View<const float, 2> x) {
  if (ctx.compute == ComputeType::kF32) return x;
  const View<float, 2> out = ctx.scratch(x.dim[0], x.dim[1]);
  for_rows(ctx, x.dim[0], x.dim[1], [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) ctx.kernels.round_bf16(x.row(r), out.row(r), x.dim[1]);
  });
  return out;
}

void sum_codes(const int8_t* codes, const float* scales, int64_t blocks, int32_t* half_starts, float* minima) {
  for (int64_t half = 0; half < 2 * blocks; ++half) {
    int32_t sum = 0;
    for (int64_t i = 0; i < 16; ++i) sum += codes[half * 16 + i];
    half_starts[half] = -32 * sum;
  }
  for (int64_t b = 0; b < blocks; ++b)
    minima[b] = scales[b] * static_cast<float>((half_starts[2 * b] + half_starts[2 * b + 1]) / 32);
}

QuantizedRows quantize_rows(Context& ctx, View<const float, 2> x, CodeSums sums) {
  const int64_t rows = x.dim[0], cols = x.dim[1];
  const int64_t step = round_up(cols, kPairCols) + kPairCols,
                blocks = step / kBlockCols;  // a line more: rows of 2^n bytes would share sets of L1
  int8_t* codes = ctx.arena.take<int8_t>(rows * step);
  float* scales = ctx.arena.take<float>(rows * blocks);
  int32_t* starts = ctx.arena.take<int32_t>(rows * blocks);
  const bool more = sums == CodeSums::kForMinima;
  int32_t* half_starts = more ? ctx.arena.take<int32_t>(rows * blocks * 2) : nullptr;
  float* minima = more ? ctx.arena.take<float>(rows * blocks) : nullptr;
  for_rows(ctx, rows, cols, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      ctx.kernels.quantize_row(x.row(r), cols, codes + r * step, scales + r * blocks, starts + r * blocks);
      if (more)
        sum_codes(codes + r * step, scales + r * blocks, round_up(cols, kPairCols) / kBlockCols,
                  half_starts + r * blocks * 2, minima + r * blocks);
    }
  });
  return {codes, step, scales, starts, half_starts, minima};
}

void matmul(Context& ctx, View<const float, 2> x, std::initializer_list<Product> products) {
  multiply(ctx, x, {products.begin(), products.size()}, ctx.compute);
}
void matmul(Context& ctx, View<const float, 2> x, const WeightView& weight, View<float, 2> out) {
  const Product product{weight, out};
  multiply(ctx, x, {&product, 1}, ctx.compute);
}
void matmul_f32(Context& ctx, View<const float, 2> x, const WeightView& weight, View<float, 2> out) {
  const Product product{weight, out};
  multiply(ctx, x, {&product, 1}, ComputeType::kF32);
}

}  // namespace g3n
