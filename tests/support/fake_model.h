// FakeModel: a scripted language model without weights, behind the same seam as the real one. The decode loop,
// sessions, stop rules, the scheduler and the server are tested with it.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "seam/language_model.h"

namespace g3n::testing {

struct FakeModelOptions {
  int64_t vocab_size = 16;
  int64_t hidden_size = 8;
  // At position p (the length of the sequence after the row) the likeliest id is script[p % script.size()], unless the
  // first id of the sequence has a script of its own; all other logits are 0.
  std::vector<int32_t> script = {0};
  std::map<int32_t, std::vector<int32_t>> scripts;  // by the first id
  double step_seconds = 0, row_seconds = 0;         // of a forward call, of each of its rows
  int encoder_blocks = 4;                           // `between` is called behind each
  double block_seconds = 0;
  // Looked at before a step is done; may throw.
  std::function<void(int64_t step, const Batch&)> on_step;
  int32_t nan_after_id = -1;  // a row of this id has logits that are no numbers
};

// Rows of a step, by the first id of their sequence.
struct FakeStep {
  std::vector<Row> rows;
  std::vector<int32_t> first_ids;  // of each cache of the batch
};

class FakeModel : public LanguageModel {
 public:
  explicit FakeModel(FakeModelOptions options);
  ~FakeModel() override;

  int64_t vocab_size() const override { return options_.vocab_size; }
  int64_t choosable_ids() const override { return options_.vocab_size; }
  int64_t hidden_size() const override { return options_.hidden_size; }
  std::unique_ptr<SequenceCache> make_cache(int64_t context) override;
  CacheUse cache_use() const override;
  int64_t cache_bytes(int64_t length) const override { return length; }
  void forward(const Batch& batch, View<float, 2> logits, const StepOptions& options) override;
  // Soft tokens that depend on the input alone.
  void encode(const EncoderInput& input, View<float, 2> soft_tokens, const StepOptions& options) override;
  void embed_side_id(int32_t id, View<float, 1> out) override;
  void parallel(int64_t count, const std::function<void(int64_t, int64_t)>& f) override { f(0, count); }

  // What was done so far. The model may live in an engine: shared.
  struct Log {
    mutable std::mutex mutex;
    std::vector<FakeStep> steps;
    int encodes = 0;
    std::atomic<int64_t> open_positions{0};  // held by caches
    std::atomic<int64_t> caches{0};

    std::vector<FakeStep> seen() const;
  };
  std::shared_ptr<Log> log() const { return log_; }

 private:
  FakeModelOptions options_;
  std::shared_ptr<Log> log_ = std::make_shared<Log>();
};

inline std::vector<std::int32_t> joined(std::vector<std::int32_t> a, const std::vector<std::int32_t>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace g3n::testing
