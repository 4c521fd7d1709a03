#include "core/weight.h"

#include <string>

#include "g3n/error.h"

namespace g3n {
namespace {

[[noreturn]] void cannot_cut(const WeightView& weight, const char* what, int64_t first, int64_t count, int64_t all,
                             int64_t cut) {
  constexpr const char* kLayouts[] = {"panels", "rows", "neurons", "blocks"};
  throw Error(ErrorCode::kInternal, std::string("a weight of ") + dtype_name(weight.dtype) + " in " +
                                        kLayouts[static_cast<int>(weight.layout)] + ": expected " + what + " " +
                                        (cut > 0 ? "at multiples of " + std::to_string(cut) : "whole") + " within " +
                                        std::to_string(all) + ", got " + std::to_string(count) + " from " +
                                        std::to_string(first) + " on");
}

}  // namespace

WeightView rows_of(const WeightView& weight, int64_t first, int64_t count) {
  const int64_t cut = row_cut(weight);
  if (first == 0 && count == weight.rows) return weight;
  if (cut == 0 || first < 0 || count < 1 || count > weight.rows - first || first % cut != 0)
    cannot_cut(weight, "outputs", first, count, weight.rows, cut);
  WeightView part = weight;
  part.rows = count;
  if (weight.layout == Layout::kNeurons)
    part.data += first * dtype_bytes(weight.dtype);
  else
    part.data += first / cut * weight.step_bytes;
  return part;
}

WeightView inputs_of(const WeightView& weight, int64_t first, int64_t count) {
  const int64_t cut = input_cut(weight);
  if (first == 0 && count == weight.cols) return weight;
  if (cut == 0 || first < 0 || count < 1 || count > weight.cols - first || first % cut != 0 ||
      ((first + count) % cut != 0 && first + count != weight.cols))
    cannot_cut(weight, "inputs", first, count, weight.cols, cut);
  WeightView part = weight;
  part.cols = count;
  switch (weight.layout) {
    case Layout::kPanels: part.data += packed_step_bytes(weight.dtype, Layout::kPanels, kPanelRows, first); break;
    case Layout::kNeurons:  // a step is one neuron, or some that stand together
      part.data += first / neuron_group(weight.dtype).neurons * weight.step_bytes;
      break;
    default: part.data += dtype_bytes(weight.dtype, first);
  }
  return part;
}

}  // namespace g3n
