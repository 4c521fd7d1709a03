#include "text/models.h"

#include "support/hash_weights.h"
#include "text/kv_pages.h"
#include "weights/loader.h"
#include "weights/shape_lister.h"
#include "support/source_path.h"

namespace g3n::testing {

LoadedText load_text(std::shared_ptr<const TensorSource> source, const Config& config, const Recipe& recipe) {
  ThreadPool pool(2);
  LoadedText text{.source = source, .store = {}, .model = std::make_unique<TextModel>(TextConfig::from(config))};
  Loader loader(source, {.pool = pool, .components = {"model.language_model."}, .recipe = recipe});
  text.model->bind(loader);
  text.store = loader.finish();
  return text;
}

const LoadedText& tiny_text() {
  static const std::string folder = source_path("tests/golden/data/tiny");
  static const LoadedText text = load_text(tiny_checkpoint(folder), Config::load(folder + "/config.json"));
  return text;
}

LoadedText hash_text(const Config& config) {
  ShapeLister lister;
  const TextConfig parsed = TextConfig::from(config);
  TextModel(parsed).bind(lister);
  std::vector<NamedShape> tensors;
  for (const auto& [name, shape] : lister.names_and_shapes()) tensors.push_back({name, shape});
  return load_text(hash_checkpoint(tensors, parsed.hidden_size_per_layer_input), config);
}

std::shared_ptr<PagePool> make_pool(const TextModel& model, DType kv) {
  return std::make_shared<PagePool>(kv, model.config().num_key_value_heads, model.config().head_dim);
}

TextRunner::TextRunner(const TextModel& model, const TextRun& run, int64_t context)
    : TextRunner(model, run, model.make_cache(make_pool(model, run.cache_type()), context)) {}

TextRunner::TextRunner(const TextModel& model, const TextRun& run, std::unique_ptr<SequenceCache> cache)
    : model_(model), run_(run), pool_(run.threads), cache_(std::move(cache)) {}

std::vector<std::vector<float>> TextRunner::feed(const std::vector<int32_t>& ids, const std::vector<int32_t>& soft,
                                                 std::span<const float* const> soft_tokens) {
  std::vector<std::vector<float>> logits;
  const int64_t count = static_cast<int64_t>(ids.size()), vocab = model_.vocab_size();
  for (int64_t first = 0; first < count; first += run_.chunk) {
    std::vector<Row> rows;
    int64_t wanted = 0;
    for (int64_t i = first; i < std::min(first + run_.chunk, count); ++i) {
      const bool wants = run_.all_logits || i + 1 == count;
      rows.push_back({.sequence = 0,
                      .position = static_cast<int32_t>(cache_->length() + i - first),
                      .id = ids[i],
                      .soft_token = soft.empty() ? -1 : soft[i],
                      .wants_logits = wants});
      wanted += wants;
    }
    std::vector<float> out(wanted * vocab);
    SequenceCache* const caches[] = {cache_.get()};
    Context ctx{.pool = pool_,
                .kernels = run_.kernels ? *run_.kernels : best_kernels(),
                .arena = arena_,
                .compute = run_.compute,
                .taps = run_.taps};
    model_.forward(ctx, {rows, caches, soft_tokens}, {out.data(), {wanted, vocab}});
    cache_->commit(static_cast<int64_t>(rows.size()));
    for (int64_t i = 0; i < wanted; ++i) logits.emplace_back(out.begin() + i * vocab, out.begin() + (i + 1) * vocab);
  }
  return logits;
}

std::vector<std::vector<std::vector<float>>> feed_batch(const TextModel& model, const TextRun& run,
                                                        const std::vector<std::vector<int32_t>>& sequences) {
  ThreadPool pool(run.threads);
  Arena arena;
  const std::shared_ptr<PagePool> pages = make_pool(model, run.cache_type());
  std::vector<std::unique_ptr<SequenceCache>> caches;
  std::vector<SequenceCache*> pointers;
  std::vector<Row> rows;
  for (size_t s = 0; s < sequences.size(); ++s) {
    caches.push_back(model.make_cache(pages, 4096));
    pointers.push_back(caches.back().get());
    for (size_t i = 0; i < sequences[s].size(); ++i)
      rows.push_back({.sequence = static_cast<int32_t>(s),
                      .position = static_cast<int32_t>(i),
                      .id = sequences[s][i],
                      .wants_logits = true});
  }
  const int64_t vocab = model.vocab_size();
  std::vector<float> out(rows.size() * vocab);
  Context ctx{.pool = pool,
              .kernels = run.kernels ? *run.kernels : best_kernels(),
              .arena = arena,
              .compute = run.compute,
              .taps = run.taps};
  model.forward(ctx, {rows, pointers, {}}, {out.data(), {static_cast<int64_t>(rows.size()), vocab}});
  std::vector<std::vector<std::vector<float>>> logits(sequences.size());
  for (size_t i = 0; i < rows.size(); ++i)
    logits[rows[i].sequence].emplace_back(out.begin() + i * vocab, out.begin() + (i + 1) * vocab);
  return logits;
}

std::vector<int32_t> to_ids(const std::vector<int64_t>& ids) { return {ids.begin(), ids.end()}; }

}  // namespace g3n::testing
