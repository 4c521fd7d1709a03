// How much a text model must do, counted from its config: the bytes that one decoded token touches, the operations of a prompt.
#pragma once
#include <cstdint>

#include "text/text_model.h"

namespace g3n::bench {

struct Work {
  int64_t decode_bytes = 0;     // weights read for one token, bf16, live neurons of sparse layers alone
  int64_t decode_flops = 0;     // a multiply-add is two
  int64_t prefill_flops_per_row = 0;   // a row that ends in the cut layer
  int64_t prefill_flops_last_row = 0;  // the row whose logits are wanted
};
Work work_of(const TextConfig& config);

// Attention on top: scores and sums of `rows` prompt rows from position 0, layers before the cut.
int64_t attention_flops(const TextConfig& config, int64_t rows);

}  // namespace g3n::bench
