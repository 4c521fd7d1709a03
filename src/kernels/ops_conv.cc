// Convolutions of ops.h. The full one gathers blocks of output pixels (im2col) and multiplies them by panels.
#include <atomic>
#include <cstring>

#include "kernels/ops_internal.h"

namespace g3n {
namespace {

constexpr int64_t kPatchBytes = 256 << 10;  // of gathered inputs at once per thread

// Inputs of output pixel (oy, ox) in the order (ky, kx, channel); zeros outside the map.
void gather_patch(View<const float, 3> x, const ConvShape& s, int64_t oy, int64_t ox, float* out) {
  const int64_t channels = x.dim[2];
  for (int64_t ky = 0; ky < s.kernel_h; ++ky)
    for (int64_t kx = 0; kx < s.kernel_w; ++kx, out += channels) {
      const int64_t iy = oy * s.stride_h - s.pad_top + ky, ix = ox * s.stride_w - s.pad_left + kx;
      if (iy < 0 || iy >= x.dim[0] || ix < 0 || ix >= x.dim[1])
        std::memset(out, 0, static_cast<size_t>(channels) * 4);
      else
        std::memcpy(out, x.data + iy * x.step[0] + ix * x.step[1], static_cast<size_t>(channels) * 4);
    }
}

// One thread's scratch: patches, and the form in which the kernel takes them.
struct Patches {
  float* f32;     // [pixels of a block, step]
  bf16_t* bf16;   // the same, for tables with bf16_dot
  int8_t* codes;  // for q8 and q4 weights
  float* scales;
  int32_t* starts;
};

enum class PatchForm { kF32, kBF16, kCodes };

struct Conv {
  Context& ctx;
  View<const float, 3> x;
  const ConvShape& shape;
  const WeightView& weight;
  View<float, 2> out;
  PatchForm form;
  int64_t step;  // of patches, padded as the form wants it

  // Output pixels begin .. end.
  void block(int64_t begin, int64_t end, const Patches& p) const {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t at = i - begin;
      float* patch = p.f32 + at * step;
      gather_patch(x, shape, i / shape.out_w, i % shape.out_w, patch);
      std::fill(patch + weight.cols, patch + step, 0.0f);
      if (form == PatchForm::kCodes)
        ctx.kernels.quantize_row(patch, weight.cols, p.codes + at * step, p.scales + at * (step / kBlockCols),
                                 p.starts + at * (step / kBlockCols));
      else if (form == PatchForm::kBF16)
        ctx.kernels.to_bf16(patch, p.bf16 + at * step, step);
      else if (ctx.compute == ComputeType::kBF16)
        ctx.kernels.round_bf16(patch, patch, weight.cols);
    }
    if (form == PatchForm::kCodes) {
      const QuantMatmul m{{p.codes, step, p.scales, p.starts},
                          end - begin,
                          weight.data,
                          weight.step_bytes,
                          step,
                          out.row(begin),
                          out.step[0],
                          weight.rows};
      return code_kernels(ctx.kernels, weight.dtype).matmul(m);
    }
    const bool pairs = form == PatchForm::kBF16;
    const PanelMatmul m{pairs ? static_cast<const void*>(p.bf16) : p.f32,
                        step,
                        end - begin,
                        weight.data,
                        weight.step_bytes,
                        weight.cols,
                        out.row(begin),
                        out.step[0],
                        weight.rows};
    if (pairs)
      ctx.kernels.matmul_bf16_bf16(m);
    else
      weight.dtype == DType::kBF16 ? ctx.kernels.matmul_bf16(m) : ctx.kernels.matmul_f32(m);
  }
};

}  // namespace

void conv2d(Context& ctx, View<const float, 3> x, const ConvShape& shape, const WeightView& weight,
            View<float, 2> out) {
  expect_weight(weight, Layout::kPanels, "conv2d");
  expect(!is_file_type(weight.dtype), "conv2d: weights of this type are for matmul");
  const int64_t pixels = shape.out_h * shape.out_w;
  expect(weight.cols == shape.kernel_h * shape.kernel_w * x.dim[2],
         "conv2d: the weight does not fit the kernel and the channels");
  expect_shape(out, {pixels, weight.rows}, "conv2d out");
  const PatchForm form = is_quantized(weight.dtype) ? PatchForm::kCodes
                         : ctx.compute == ComputeType::kBF16 && weight.dtype == DType::kBF16 && ctx.kernels.bf16_dot
                             ? PatchForm::kBF16
                             : PatchForm::kF32;
  const int64_t step = round_up(weight.cols, form == PatchForm::kCodes ? kPairCols : kBlockCols);
  const Conv conv{ctx, x, shape, weight, out, form, step};
  const int64_t threads = ctx.pool.threads();
  const int64_t block =
      std::clamp<int64_t>(std::min(kPatchBytes / (step * 4), pixels / (threads * 2)) / 12 * 12, 12, 192);
  const int64_t blocks = (pixels + block - 1) / block;
  const ArenaScope scope(ctx.arena);
  const int64_t slots = pixels * weight.rows * weight.cols / 8 < kSerialValues ? 1 : std::min(threads, blocks);
  Patches* scratch = ctx.arena.take<Patches>(slots);
  for (int64_t i = 0; i < slots; ++i) {
    scratch[i] = {.f32 = ctx.arena.take<float>(block * step)};
    if (form == PatchForm::kBF16) scratch[i].bf16 = ctx.arena.take<bf16_t>(block * step);
    if (form != PatchForm::kCodes) continue;
    scratch[i].codes = ctx.arena.take<int8_t>(block * step);
    scratch[i].scales = ctx.arena.take<float>(block * step / kBlockCols);
    scratch[i].starts = ctx.arena.take<int32_t>(block * step / kBlockCols);
  }
  std::atomic<int64_t> next{0};  // a slot is one thread's scratch and takes blocks until none is left
  ctx.pool.parallel_for(slots, 1, [&](int64_t begin, int64_t end) {
    for (int64_t slot = begin; slot < end; ++slot)
      for (int64_t b = next.fetch_add(1); b < blocks; b = next.fetch_add(1))
        conv.block(b * block, std::min((b + 1) * block, pixels), scratch[slot]);
  });
}

void depthwise_conv2d(Context& ctx, View<const float, 3> x, const ConvShape& shape, View<const float, 2> weight,
                      View<float, 3> out) {
  const int64_t channels = x.dim[2];
  expect_shape(weight, {shape.kernel_h * shape.kernel_w, channels}, "depthwise_conv2d weight");
  expect_shape(out, {shape.out_h, shape.out_w, channels}, "depthwise_conv2d out");
  expect(x.contiguous() && weight.contiguous() && out.contiguous(),
         "depthwise_conv2d: maps and weight must be contiguous");
  for_rows(ctx, shape.out_h, shape.out_w * channels * shape.kernel_h * shape.kernel_w / 4 + 1,
           [&](int64_t begin, int64_t end) {
             for (int64_t row = begin; row < end; ++row)
               ctx.kernels.depthwise_conv({x.data, x.dim[0], x.dim[1], channels, weight.data, shape.kernel_h,
                                           shape.kernel_w, shape.stride_h, shape.stride_w, shape.pad_top,
                                           shape.pad_left, row, shape.out_w, out.data + row * shape.out_w * channels});
           });
}

}  // namespace g3n
