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

std::span<const SequenceRun> find_runs(Context& ctx, const void* owner, const Batch& batch) {
  const auto caches = static_cast<int64_t>(batch.caches.size());
  SequenceRun* runs = ctx.arena.take<SequenceRun>(caches);
  bool* seen = ctx.arena.take<bool>(caches);
  std::fill_n(seen, caches, false);
  size_t count = 0;
  for (size_t i = 0; i < batch.rows.size(); ++i) {
    const Row& row = batch.rows[i];
    if (i == 0 || row.sequence != batch.rows[i - 1].sequence) {
      if (row.sequence < 0 || row.sequence >= caches)
        bad_row(i, "there is no sequence " + std::to_string(row.sequence));
      if (seen[row.sequence]) bad_row(i, "rows of sequence " + std::to_string(row.sequence) + " are not adjacent");
      seen[row.sequence] = true;
      KvPages& cache = own_pages(batch.caches[static_cast<size_t>(row.sequence)], owner, row.sequence);
      for (size_t r = 0; r < count; ++r)
        if (runs[r].cache == &cache)
          bad_row(i, "the cache of sequence " + std::to_string(row.sequence) + " is another sequence's, too");
      runs[count++] = {&cache, static_cast<int64_t>(i), 0, cache.length()};
    }
    SequenceRun& run = runs[count - 1];
    if (row.position != run.first_position + run.rows)
      bad_row(i, "expected position " + std::to_string(run.first_position + run.rows) + ", got " +
                     std::to_string(row.position));
    ++run.rows;
  }
  return {runs, count};
}

void check_row(const TextConfig& config, const Batch& batch, size_t index) {
  const Row& row = batch.rows[index];
  if (row.id < 0 || row.id >= config.vocab_size)
    bad_row(index, "token id " + std::to_string(row.id) + " is outside the vocabulary of " +
                       std::to_string(config.vocab_size));
  const auto soft_tokens = static_cast<int64_t>(batch.soft_tokens.size());
  if (row.soft_token >= soft_tokens)
    bad_row(index, "soft token " + std::to_string(row.soft_token) + " of " + std::to_string(soft_tokens));
  if (row.soft_token >= 0 && !batch.soft_tokens[static_cast<size_t>(row.soft_token)])
    bad_row(index, "soft token " + std::to_string(row.soft_token) + " is null");
}

// cos and sin of position * theta^(-2k / head_dim), angles in double, results in float.
void rotation(Context& ctx, double theta, std::span<const int32_t> positions, View<float, 2> cos, View<float, 2> sin) {
  const ArenaScope scope(ctx.arena);
  const int64_t half = cos.dim[1];
  double* frequency = ctx.arena.take<double>(half);
  for (int64_t k = 0; k < half; ++k) frequency[k] = std::pow(theta, -static_cast<double>(k) / half);
  for (size_t t = 0; t < positions.size(); ++t)
    for (int64_t k = 0; k < half; ++k) {
      const double angle = positions[t] * frequency[k];
      cos.row(t)[k] = static_cast<float>(std::cos(angle));
      sin.row(t)[k] = static_cast<float>(std::sin(angle));
    }
}

// `which` of the batch's rows.
RowSet make_set(Context& ctx, const TextConfig& config, const Batch& batch, std::span<const int32_t> which,
                std::span<const SequenceRun> runs) {
  RowSet set{.rows = static_cast<int64_t>(which.size()), .runs = runs};
  int32_t *ids = ctx.arena.take<int32_t>(set.rows), *positions = ctx.arena.take<int32_t>(set.rows);
  for (size_t i = 0; i < which.size(); ++i) {
    const Row& row = batch.rows[static_cast<size_t>(which[i])];
    ids[i] = row.id, positions[i] = row.position;
  }
  set.ids = {ids, which.size()};
  for (LayerType type : {LayerType::kSliding, LayerType::kFull}) {
    const int i = static_cast<int>(type);
    View<float, 2> cos = ctx.scratch(set.rows, config.head_dim / 2), sin = ctx.scratch(set.rows, config.head_dim / 2);
    rotation(ctx, type == LayerType::kFull ? config.rope_theta : config.rope_local_base_freq, {positions, which.size()},
             cos, sin);
    set.cos[i] = cos, set.sin[i] = sin;
    KeyRange* visible = ctx.arena.take<KeyRange>(set.rows);
    for (size_t r = 0; r < which.size(); ++r) {
      const int64_t end = int64_t{positions[r]} + 1;
      visible[r] = {type == LayerType::kFull ? 0 : std::max<int64_t>(0, end - config.sliding_window), end};
    }
    set.visible[i] = {visible, which.size()};
  }
  return set;
}

}  // namespace

BatchPlan plan_batch(Context& ctx, const TextConfig& config, const void* owner, const Batch& batch) {
  const std::span<const SequenceRun> runs = find_runs(ctx, owner, batch);
  const auto rows = static_cast<int64_t>(batch.rows.size());
  int32_t *every = ctx.arena.take<int32_t>(rows), *wanted = ctx.arena.take<int32_t>(rows);
  SequenceRun* wanted_runs = ctx.arena.take<SequenceRun>(static_cast<int64_t>(runs.size()));
  size_t wanted_count = 0, wanted_run_count = 0;
  for (const SequenceRun& run : runs) {
    SequenceRun some{run.cache, static_cast<int64_t>(wanted_count), 0, run.first_position};
    for (int64_t i = run.first_row; i < run.first_row + run.rows; ++i) {
      check_row(config, batch, static_cast<size_t>(i));
      every[i] = static_cast<int32_t>(i);
      if (!batch.rows[static_cast<size_t>(i)].wants_logits) continue;
      wanted[wanted_count++] = static_cast<int32_t>(i);
      ++some.rows;
    }
    if (some.rows) wanted_runs[wanted_run_count++] = some;
  }
  BatchPlan plan;
  plan.all = make_set(ctx, config, batch, {every, batch.rows.size()}, runs);
  plan.wanted_rows = {wanted, wanted_count};
  plan.wanted = wanted_count == batch.rows.size()
                    ? plan.all
                    : make_set(ctx, config, batch, plan.wanted_rows, {wanted_runs, wanted_run_count});
  return plan;
}

std::span<const AttentionSequence> attention_sequences(Context& ctx, const RowSet& set, LayerType type,
                                                       int64_t kv_layer) {
  AttentionSequence* sequences = ctx.arena.take<AttentionSequence>(static_cast<int64_t>(set.runs.size()));
  for (size_t i = 0; i < set.runs.size(); ++i) {
    const SequenceRun& run = set.runs[i];
    sequences[i] = {
        run.cache->layer(kv_layer), run.first_row,
        set.visible[static_cast<int>(type)].subspan(static_cast<size_t>(run.first_row), static_cast<size_t>(run.rows))};
  }
  return {sequences, set.runs.size()};
}

}  // namespace g3n
