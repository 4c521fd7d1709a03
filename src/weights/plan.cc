#include "weights/plan.h"

#include <algorithm>

#include "g3n/error.h"

namespace g3n {
namespace {

constexpr int64_t kSmallModel = 100'000'000;  // parameters

// Routers and coefficients work in f32 whatever their stored type is.
bool is_exact(const std::string& name) { return name.find(".altup.") != std::string::npos; }

// The head is read for every token: decoding its blocks each time takes a second at full size, its f32 panels a
// twentieth of that.
bool is_head(const std::string& name) {
  return name == "model.language_model.embed_tokens.weight" || name == "lm_head.weight";
}

// [out, in, kh, kw] with kh * kw > 1: its inputs are reordered, which blocks are not.
bool is_convolution(const Shape& shape) { return element_count(shape, std::min<size_t>(2, shape.size())) > 1; }

}  // namespace

PackingPlan::PackingPlan(Recipe recipe, int64_t parameters)
    : recipe_(std::move(recipe)), small_model_(parameters < kSmallModel) {}

Packing PackingPlan::matrix(const std::string& name, const TensorInfo& tensor, Layout layout,
                            const IsBf16& is_bf16) const {
  const DType stored = tensor.dtype;
  if (is_block_type(stored)) {
    if (is_exact(name) || is_convolution(tensor.shape)) return {DType::kF32, layout};
    if (has_kernels(stored, layout)) return {stored, layout};
    if (layout == Layout::kRows && has_kernels(stored, Layout::kBlocks)) return {stored, Layout::kBlocks};
    if (layout != Layout::kPanels || is_head(name)) return {DType::kF32, layout};
    return {stored, Layout::kBlocks};
  }
  const DType wanted = recipe_.format(name, stored, element_count(tensor.shape, 1), small_model_);
  if (wanted != DType::kF16) return {wanted, layout};
  return {is_bf16 && is_bf16(tensor) ? DType::kBF16 : DType::kF32, layout};
}

DType PackingPlan::table(const std::string& name, const TensorInfo& tensor) const {
  const int64_t cols = element_count(tensor.shape, 1);
  const DType wanted = recipe_.format(name + kTableEnding, tensor.dtype, cols, small_model_);
  if (wanted == tensor.dtype || cols % dtype_facts(wanted).block_values != 0) return tensor.dtype;
  if (wanted != DType::kQ8_0 && wanted != DType::kBF16 && wanted != DType::kF32)
    throw Error(ErrorCode::kUnsupported, "recipe " + recipe_.name() + ": " + name + kTableEnding +
                                             ": expected q8, bf16, f32 or keep for a table, found " +
                                             format_name(wanted));
  return wanted;
}

bool PackingPlan::copies_table(const TensorInfo& tensor) {
  return tensor.range.fd < 0 && !is_block_type(tensor.dtype) &&
         reinterpret_cast<uintptr_t>(tensor.data) % static_cast<uintptr_t>(dtype_bytes(tensor.dtype)) != 0;
}

int64_t parameter_count(const std::map<std::string, const TensorInfo*>& tensors) {
  int64_t sum = 0;
  for (const auto& [name, tensor] : tensors)
    if (__builtin_add_overflow(sum, element_count(tensor->shape), &sum)) return INT64_MAX;
  return sum;
}

}  // namespace g3n
