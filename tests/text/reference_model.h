// The text decoder again in double precision, plain loops over the spec (text.md), one sequence, no cache. The oracle
// for shapes that no golden has.
#pragma once
#include <vector>

#include "formats/tensor_source.h"
#include "text/text_config.h"

namespace g3n::testing {

// Logits of every position: [tokens][vocab].
std::vector<std::vector<double>> reference_logits(const TextConfig& config, const TensorSource& source,
                                                  const std::vector<int32_t>& ids);

}  // namespace g3n::testing
