// BatchPlan: what every layer needs to know of a batch's rows, worked out once per forward call: which rows belong to
// which cache, which keys they see, their rotations, and the rows that go on behind the cut. All of it lives in the
// arena.
#pragma once
#include <span>

#include "core/context.h"
#include "seam/language_model.h"
#include "text/kv_pages.h"
#include "text/text_config.h"

namespace g3n {

// Adjacent rows of one sequence.
struct SequenceRun {
  KvPages* cache;
  int64_t first_row, rows;
  int64_t first_position;
};

// Rows that a layer computes, all or the wanted ones.
struct RowSet {
  int64_t rows = 0;
  std::span<const int32_t> ids;          // [rows]
  View<const float, 2> cos[2], sin[2];   // by LayerType; [rows, head_dim / 2]
  std::span<const KeyRange> visible[2];  // by LayerType; [rows]
  std::span<const SequenceRun> runs;
};

struct BatchPlan {
  RowSet all, wanted;
  std::span<const int32_t> wanted_rows;  // ascending
  bool everything_wanted() const { return all.rows == wanted.rows; }
};

// Checks the batch: rows that fit together, caches that `owner` made. Throws kInvalidArgument.
BatchPlan plan_batch(Context& ctx, const TextConfig& config, const void* owner, const Batch& batch);

// Per run the K and V of one layer; in the arena.
std::span<const AttentionSequence> attention_sequences(Context& ctx, const RowSet& set, LayerType type,
                                                       int64_t kv_layer);

}  // namespace g3n
