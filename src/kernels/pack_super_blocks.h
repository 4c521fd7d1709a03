// Packing of GGUF's super-blocks to q4k, q5k, q6k and iq4xs panels and neurons (core/weight.h); behind pack.h.
#pragma once
#include "kernels/pack.h"

namespace g3n {

// The source is of the view's type: bits move, values stay.
void pack_super_blocks(ThreadPool& pool, const PackSource& source, const WeightView& view, std::byte* out);
float super_block_value(const WeightView& view, int64_t row, int64_t col);

}  // namespace g3n
