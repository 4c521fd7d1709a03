// Text models for tests: the tiny and the demo checkpoint, or any config with weights by the hash rule; and running
// rows through them.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/context.h"
#include "formats/tensor_source.h"
#include "kernels/table.h"
#include "text/text_model.h"
#include "weights/recipe.h"
#include "weights/weight_store.h"

namespace g3n::testing {

struct LoadedText {
  std::shared_ptr<const TensorSource> source;
  WeightStore store;
  std::unique_ptr<TextModel> model;
};
LoadedText load_text(std::shared_ptr<const TensorSource> source, const Config& config, const Recipe& recipe = {});
const LoadedText& tiny_text();
// All tensors of a config's text model, by the hash rule.
LoadedText hash_text(const Config& config);

struct TextRun {
  DType cache_type() const { return kv.value_or(compute == ComputeType::kF32 ? DType::kF32 : DType::kBF16); }

  const KernelTable* kernels = nullptr;  // null: the best
  int threads = 2;
  ComputeType compute = ComputeType::kF32;
  std::optional<DType> kv = {};  // of the cache; else as compute
  int64_t chunk = 4096;          // rows of one call
  bool all_logits = true;        // else the last row of the prompt alone
  TapSink* taps = nullptr;
};

std::shared_ptr<PagePool> make_pool(const TextModel& model, DType kv);

// One machine and one cache: feeds ids and commits them.
class TextRunner {
 public:
  TextRunner(const TextModel& model, const TextRun& run, int64_t context = 4096);
  TextRunner(const TextModel& model, const TextRun& run, std::unique_ptr<SequenceCache> cache);
  // Logits of the rows that want them, one after the other. soft: per id an index into soft_tokens or -1; may be
  // empty.
  std::vector<std::vector<float>> feed(const std::vector<int32_t>& ids, const std::vector<int32_t>& soft = {},
                                       std::span<const float* const> soft_tokens = {});
  SequenceCache& cache() { return *cache_; }

 private:
  const TextModel& model_;
  TextRun run_;
  ThreadPool pool_;
  Arena arena_;
  std::unique_ptr<SequenceCache> cache_;
};

// Several sequences in one call, every row wanted: logits per sequence.
std::vector<std::vector<std::vector<float>>> feed_batch(const TextModel& model, const TextRun& run,
                                                        const std::vector<std::vector<int32_t>>& sequences);

std::vector<int32_t> to_ids(const std::vector<int64_t>& ids);

}  // namespace g3n::testing
