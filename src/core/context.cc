#include "core/context.h"

#include <vector>

namespace g3n {
namespace {

// Rows begin at lines. Steps of 4096 bytes would put one column of all rows into the same sets of L1 and L2, and
// products come back to a column of many rows for each chunk of inputs: such rows get a line more.
int64_t row_step(int64_t cols) {
  const int64_t step = (cols + 15) / 16 * 16;
  return step % 1024 == 0 ? step + 16 : step;
}

}  // namespace

View<float, 2> Context::scratch(int64_t rows, int64_t cols) {
  const int64_t step = row_step(cols);
  return {arena.take<float>(rows * step), {rows, cols}, {step, 1}};
}

View<float, 3> Context::scratch(int64_t planes, int64_t rows, int64_t cols) {
  const int64_t step = row_step(cols);
  return {arena.take<float>(planes * rows * step), {planes, rows, cols}, {rows * step, step, 1}};
}

void Context::record_tap(const std::string& name, const int64_t* dims, const int64_t* steps, int rank,
                         const float* data, int token_axis) const {
  if (!taps->wants(name)) return;
  int64_t total = 1;
  for (int i = 0; i < rank; ++i) total *= dims[i];
  std::vector<float> packed(static_cast<size_t>(total));
  std::vector<int64_t> index(static_cast<size_t>(rank), 0);
  for (int64_t n = 0; n < total; ++n) {
    int64_t at = 0;
    for (int i = 0; i < rank; ++i) at += index[i] * steps[i];
    packed[n] = data[at];
    for (int i = rank - 1; i >= 0 && ++index[i] == dims[i]; --i) index[i] = 0;
  }
  taps->record(name, {dims, static_cast<size_t>(rank)}, packed.data(), token_axis);
}

}  // namespace g3n
