// The text decoder against transformers: every tap of the tiny checkpoint, decode steps, ragged batches, chunks,
// tables.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "support/golden.h"
#include "text/models.h"

namespace g3n::testing {
namespace {

// Splits the taps of a ragged batch by sequence and hands them on as "sequence.I.NAME".
class SplittingSink : public TapSink {
 public:
  SplittingSink(GoldenSink& sink, std::vector<int64_t> lengths) : sink_(sink), lengths_(std::move(lengths)) {}
  bool wants(const std::string& name) override { return name != "text.last_logits"; }
  void record(const std::string& name, std::span<const int64_t> dims, const float* data, int axis) override {
    int64_t outer = 1, inner = 1, first = 0;
    for (int i = 0; i < axis; ++i) outer *= dims[i];
    for (size_t i = axis + 1; i < dims.size(); ++i) inner *= dims[i];
    for (size_t s = 0; s < lengths_.size(); first += lengths_[s++]) {
      std::vector<float> part;
      for (int64_t o = 0; o < outer; ++o)
        part.insert(part.end(), data + (o * dims[axis] + first) * inner,
                    data + (o * dims[axis] + first + lengths_[s]) * inner);
      std::vector<int64_t> shape(dims.begin(), dims.end());
      shape[axis] = lengths_[s];
      sink_.set_prefix("sequence." + std::to_string(s) + ".");
      if (sink_.wants(name)) sink_.record(name, shape, part.data(), axis);
      if (name == "text.logits" && sink_.wants("text.last_logits")) {
        const int64_t vocab[] = {inner};
        sink_.record("text.last_logits", vocab, part.data() + (lengths_[s] - 1) * inner, 0);
      }
    }
  }

 private:
  GoldenSink& sink_;
  std::vector<int64_t> lengths_;
};

void expect_taps(const std::string& name, TextRun run, const GoldenOptions& options = {}) {
  const GoldenCase golden = GoldenCase::load(GoldenCase::tiny_manifest(), name);
  GoldenSink sink(golden, options);
  run.taps = &sink;
  TextRunner(*tiny_text().model, run).feed(to_ids(golden.ids()));
  EXPECT_EQ(sink.first_difference(), "");
  std::printf("%s: %s\n", name.c_str(), sink.worst().c_str());
}

TEST(TextGolden, SevenIds) { expect_taps("text_7", {}); }
TEST(TextGolden, FortyIdsPastTheWindow) { expect_taps("text_40", {}); }
TEST(TextGolden, FortyIdsInBF16StayBelowTransformersOwnDistance) {
  expect_taps("text_40", {.compute = ComputeType::kBF16}, {.bf16 = true});
}

TEST(TextGolden, ChunkedPrefill) {
  for (int64_t chunk : {1, 7, 64, 512}) {
    SCOPED_TRACE(chunk);
    expect_taps("text_40", {.chunk = chunk});
  }
}

TEST(TextGolden, RaggedBatch) {
  const GoldenCase golden = GoldenCase::load(GoldenCase::tiny_manifest(), "text_batch");
  GoldenSink sink(golden);
  std::vector<std::vector<int32_t>> sequences;
  std::vector<int64_t> lengths;
  for (const auto& ids : golden.sequences())
    sequences.push_back(to_ids(ids)), lengths.push_back(static_cast<int64_t>(ids.size()));
  SplittingSink splitter(sink, lengths);
  feed_batch(*tiny_text().model, {.taps = &splitter}, sequences);
  EXPECT_EQ(sink.first_difference(), "");
}

void expect_decode(const TextRun& run) {
  const GoldenCase golden = GoldenCase::load(GoldenCase::tiny_manifest(), "decode");
  const std::vector<int64_t> want = golden.integers("greedy_ids");
  TextRunner runner(*tiny_text().model, run);
  std::vector<float> logits = runner.feed(to_ids(golden.ids())).back();
  for (size_t step = 0; step < want.size(); ++step) {
    const std::string name = "step." + std::to_string(step) + ".logits";
    ASSERT_LE(relative_rms(logits, golden.floats(name)), golden.tap(name)->tolerance) << name;
    const auto best =
        std::max_element(logits.begin(), logits.begin() + tiny_text().model->config().vocab_size_per_layer_input) -
        logits.begin();
    ASSERT_EQ(best, want[step]) << name;
    logits = runner.feed({static_cast<int32_t>(best)}).back();
  }
}
TEST(TextGolden, Decode) { expect_decode({}); }
TEST(TextGolden, DecodeWhenOnlyTheLastRowWantsLogits) { expect_decode({.all_logits = false}); }
TEST(TextGolden, DecodeAfterAPromptInChunksOfOne) { expect_decode({.chunk = 1, .all_logits = false}); }

TEST(TextGoldenSlow, EveryTable) {
  const TableList tables = runnable_kernels();
  for (int i = 0; i < tables.count; ++i) {
    SCOPED_TRACE(tables.tables[i]->name);
    const TextRun run{.kernels = tables.tables[i]};
    expect_taps("text_7", run);
    expect_taps("text_40", run);
    expect_decode(run);
    expect_taps("text_40", {.kernels = tables.tables[i], .compute = ComputeType::kBF16}, {.bf16 = true});
  }
}

}  // namespace
}  // namespace g3n::testing
