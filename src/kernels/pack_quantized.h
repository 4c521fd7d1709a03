// Packing to q8 and q4, in every layout (core/weight.h); behind pack.h.
#pragma once
#include "kernels/pack.h"

namespace g3n {

void pack_quantized(ThreadPool& pool, const PackSource& source, const WeightView& view, std::byte* out);
// Also of IQ4_NL.
float quantized_value(const WeightView& view, int64_t row, int64_t col);

}  // namespace g3n
