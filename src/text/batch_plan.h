// BatchPlan: what every layer needs to know of a batch's rows, worked out once per forward call: which rows belong to
// which cache, which keys they see, their rotations, and the rows that go on behind the cut.
#pragma once
#include <vector>

#include "core/arena.h"
#include "seam/language_model.h"
#include "text/kv_cache.h"
#include "text/text_config.h"

namespace g3n {

// Adjacent rows of one sequence.
struct SequenceRun {
  KvCache* cache;
  int64_t first_row, rows;
  int64_t first_position;
};

// Rows that a layer computes, all or the wanted ones.
struct RowSet {
  int64_t rows = 0;
  View<const float, 2> cos[2], sin[2];  // by LayerType; [rows, head_dim / 2]
  // By LayerType: visible keys of each row, and the runs as attention wants them (the KeyValues are filled per layer).
  std::vector<KeyRange> visible[2];
  std::vector<SequenceRun> runs;
};

struct BatchPlan {
  RowSet all, wanted;
  std::vector<int32_t> wanted_rows;  // ascending
  bool everything_wanted() const { return all.rows == wanted.rows; }
};

// Checks the batch against its caches and reserves their room. Rotations live in ctx's arena.
BatchPlan plan_batch(Context& ctx, const TextConfig& config, const Batch& batch);

// Per run the K and V of one layer.
std::vector<AttentionSequence> attention_sequences(const RowSet& set, LayerType type, int64_t kv_layer);

}  // namespace g3n
