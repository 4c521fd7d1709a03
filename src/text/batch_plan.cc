#include "text/batch_plan.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "g3n/error.h"

namespace g3n {
namespace {

[[noreturn]] void bad_row(size_t index, const std::string& what) {
  throw Error(ErrorCode::kInvalidArgument, "row " + std::to_string(index) + " of the batch: " + what);
}

std::vector<SequenceRun> find_runs(const Batch& batch) {
  std::vector<SequenceRun> runs;
  std::vector<bool> seen(batch.caches.size(), false);
  for (size_t i = 0; i < batch.rows.size(); ++i) {
    const Row& row = batch.rows[i];
    if (i == 0 || row.sequence != batch.rows[i - 1].sequence) {
      if (row.sequence < 0 || row.sequence >= static_cast<int64_t>(batch.caches.size()))
        bad_row(i, "there is no sequence " + std::to_string(row.sequence));
      if (seen[row.sequence]) bad_row(i, "rows of sequence " + std::to_string(row.sequence) + " are not adjacent");
      seen[row.sequence] = true;
      auto* cache = static_cast<KvCache*>(batch.caches[row.sequence]);
      runs.push_back({cache, static_cast<int64_t>(i), 0, cache->length()});
    }
    SequenceRun& run = runs.back();
    if (row.position != run.first_position + run.rows)
      bad_row(i, "expected position " + std::to_string(run.first_position + run.rows) + ", got " +
                     std::to_string(row.position));
    ++run.rows;
  }
  return runs;
}

// cos and sin of position * theta^(-2k / head_dim), angles in double, results in float.
void rotation(double theta, const std::vector<int32_t>& positions, View<float, 2> cos, View<float, 2> sin) {
  const int64_t half = cos.dim[1];
  std::vector<double> frequency(half);
  for (int64_t k = 0; k < half; ++k) frequency[k] = std::pow(theta, -static_cast<double>(k) / half);
  for (size_t t = 0; t < positions.size(); ++t)
    for (int64_t k = 0; k < half; ++k) {
      const double angle = positions[t] * frequency[k];
      cos.row(t)[k] = static_cast<float>(std::cos(angle));
      sin.row(t)[k] = static_cast<float>(std::sin(angle));
    }
}

void fill(Context& ctx, const TextConfig& config, const std::vector<int32_t>& positions, RowSet& set) {
  set.rows = static_cast<int64_t>(positions.size());
  for (LayerType type : {LayerType::kSliding, LayerType::kFull}) {
    const int i = static_cast<int>(type);
    View<float, 2> cos = ctx.scratch(set.rows, config.head_dim / 2), sin = ctx.scratch(set.rows, config.head_dim / 2);
    rotation(type == LayerType::kFull ? config.rope_theta : config.rope_local_base_freq, positions, cos, sin);
    set.cos[i] = cos, set.sin[i] = sin;
    for (int32_t p : positions)
      set.visible[i].push_back(
          {type == LayerType::kFull ? 0 : std::max<int64_t>(0, p + 1 - config.sliding_window), p + 1});
  }
}

}  // namespace

BatchPlan plan_batch(Context& ctx, const TextConfig& config, const Batch& batch) {
  BatchPlan plan;
  plan.all.runs = find_runs(batch);
  for (const SequenceRun& run : plan.all.runs) run.cache->reserve(run.rows);
  std::vector<int32_t> positions, wanted_positions;
  for (const SequenceRun& run : plan.all.runs) {
    SequenceRun some{run.cache, static_cast<int64_t>(plan.wanted_rows.size()), 0, run.first_position};
    for (int64_t i = run.first_row; i < run.first_row + run.rows; ++i) {
      const Row& row = batch.rows[i];
      if (row.id < 0 || row.id >= config.vocab_size)
        bad_row(i, "token id " + std::to_string(row.id) + " is outside the vocabulary of " +
                       std::to_string(config.vocab_size));
      if (row.soft_token >= batch.soft_tokens.dim[0])
        bad_row(i, "soft token " + std::to_string(row.soft_token) + " of " + std::to_string(batch.soft_tokens.dim[0]));
      positions.push_back(row.position);
      if (!row.wants_logits) continue;
      plan.wanted_rows.push_back(static_cast<int32_t>(i));
      wanted_positions.push_back(row.position);
      ++some.rows;
    }
    if (some.rows) plan.wanted.runs.push_back(some);
  }
  fill(ctx, config, positions, plan.all);
  fill(ctx, config, wanted_positions, plan.wanted);
  return plan;
}

std::vector<AttentionSequence> attention_sequences(const RowSet& set, LayerType type, int64_t kv_layer) {
  std::vector<AttentionSequence> sequences;
  for (const SequenceRun& run : set.runs)
    sequences.push_back({run.cache->layer(kv_layer), run.first_row,
                         std::span(set.visible[static_cast<int>(type)]).subspan(run.first_row, run.rows)});
  return sequences;
}

}  // namespace g3n
