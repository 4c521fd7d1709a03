// What decoding one token reads of a tensor, and what makes a tensor slower than its bytes: by the packing plan, from
// headers alone.
#pragma once
#include <cstdint>
#include <string>

#include "formats/tensor_source.h"
#include "text/text_config.h"
#include "weights/bundle.h"
#include "weights/plan.h"
#include "weights/shape_lister.h"

namespace g3n {

struct DecodeCost {
  int64_t token_bytes = 0;    // of a table a row, of a layer with sparsity what its live neurons take
  int64_t memory_bytes = 0;   // the packed tensor, or its blocks in the file
  std::string why_slow = {};  // empty: it is not
};

// Of a tensor of the text model that is packed while loading. f16 counts as bf16, which it becomes where a checkpoint
// was bf16 before.
DecodeCost decode_cost(const ListedTensor& listed, const TensorInfo& stored, const PackingPlan& plan,
                       const TextConfig& config);
// Of one in a bundle that the model wants in a layout: neurons are picked out of blocks that lie as in the file, too.
DecodeCost decode_cost(const PackedTensor& packed, Layout wanted, const TextConfig& config);

}  // namespace g3n
