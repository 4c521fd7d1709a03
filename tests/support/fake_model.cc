#include "support/fake_model.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <thread>

#include "g3n/error.h"

namespace g3n::testing {
namespace {

void sleep_for(double seconds) {
  if (seconds > 0) std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

// Positions are ids; what a forward call appended waits for its commit.
class FakeCache : public SequenceCache {
 public:
  FakeCache(int64_t context, std::shared_ptr<FakeModel::Log> log) : context_(context), log_(std::move(log)) {
    ++log_->caches;
  }
  ~FakeCache() override {
    log_->open_positions -= length();
    --log_->caches;
  }
  int64_t length() const override { return static_cast<int64_t>(ids_.size()); }
  int64_t context() const override { return context_; }
  int64_t bytes() const override { return length(); }
  void commit(int64_t count) override {
    if (count > static_cast<int64_t>(appended_.size())) throw Error(ErrorCode::kInternal, "fake: nothing to commit");
    ids_.insert(ids_.end(), appended_.begin(), appended_.begin() + count);
    appended_.clear();
    log_->open_positions += count;
    most_ = std::max(most_, length());
  }
  bool resumable(int64_t length) const override {
    return length >= 0 && length <= this->length() && (length == 0 || length >= most_ - 64);
  }
  bool stays_resumable(int64_t length, int64_t committed) const override {
    return length >= 0 && length <= committed && (length == 0 || length >= std::max(most_, committed) - 64);
  }
  int64_t bytes_to_append(int64_t count) const override { return count; }
  void truncate(int64_t length) override {
    if (!resumable(length)) throw Error(ErrorCode::kInternal, "fake: cannot go on from " + std::to_string(length));
    log_->open_positions -= this->length() - length;
    ids_.resize(static_cast<size_t>(length));
    appended_.clear();
  }
  std::unique_ptr<SequenceCache> fork(int64_t length) const override {
    if (!resumable(length)) throw Error(ErrorCode::kInternal, "fake: cannot fork at " + std::to_string(length));
    auto copy = std::make_unique<FakeCache>(context_, log_);
    copy->ids_.assign(ids_.begin(), ids_.begin() + length);
    copy->most_ = length;
    log_->open_positions += length;
    return copy;
  }

  void begin() { appended_.clear(); }
  void append(const Row& row) {
    const int64_t next = length() + static_cast<int64_t>(appended_.size());
    if (row.position != next)
      throw Error(ErrorCode::kInvalidArgument,
                  "fake: expected position " + std::to_string(next) + ", got " + std::to_string(row.position));
    if (next >= context_) throw Error(ErrorCode::kContextFull, "fake: the context is full");
    appended_.push_back(row.id);
  }
  int32_t first_id() const { return !ids_.empty() ? ids_[0] : appended_.at(0); }

 private:
  int64_t context_, most_ = 0;
  std::shared_ptr<FakeModel::Log> log_;
  std::vector<int32_t> ids_, appended_;
};

}  // namespace

std::vector<FakeStep> FakeModel::Log::seen() const {
  std::lock_guard lock(mutex);
  return steps;
}

FakeModel::FakeModel(FakeModelOptions options) : options_(std::move(options)) {}
FakeModel::~FakeModel() = default;

std::unique_ptr<SequenceCache> FakeModel::make_cache(int64_t context) {
  return std::make_unique<FakeCache>(context, log_);
}

CacheUse FakeModel::cache_use() const { return {.bytes = log_->open_positions, .pages = log_->open_positions}; }

void FakeModel::forward(const Batch& batch, View<float, 2> logits, const StepOptions& options) {
  int64_t step = 0;
  {
    std::lock_guard lock(log_->mutex);
    step = static_cast<int64_t>(log_->steps.size());
    log_->steps.push_back({{batch.rows.begin(), batch.rows.end()}, {}});
  }
  if (options_.on_step) options_.on_step(step, batch);
  sleep_for(options_.step_seconds + options_.row_seconds * static_cast<double>(batch.rows.size()));
  if (options.between && *options.between) (*options.between)();
  for (SequenceCache* cache : batch.caches) static_cast<FakeCache&>(*cache).begin();
  int64_t out = 0;
  for (const Row& row : batch.rows) {
    FakeCache& cache = static_cast<FakeCache&>(*batch.caches[static_cast<size_t>(row.sequence)]);
    cache.append(row);
    if (!row.wants_logits) continue;
    const auto own = options_.scripts.find(cache.first_id());
    const std::vector<int32_t>& script = own == options_.scripts.end() ? options_.script : own->second;
    float* scores = logits.row(out++);
    std::fill_n(scores, options_.vocab_size, 0.0f);
    scores[script[static_cast<size_t>(row.position + 1) % script.size()]] = 20.0f;
    if (row.id == options_.nan_after_id) scores[0] = NAN;
  }
  std::lock_guard lock(log_->mutex);
  for (SequenceCache* cache : batch.caches)
    log_->steps[static_cast<size_t>(step)].first_ids.push_back(static_cast<FakeCache&>(*cache).first_id());
}

void FakeModel::encode(const EncoderInput& input, View<float, 2> soft_tokens, const StepOptions& options) {
  for (int block = 0; block < options_.encoder_blocks; ++block) {
    sleep_for(options_.block_seconds);
    if (options.between && *options.between) (*options.between)();
  }
  const float mean = input.pixels ? input.pixels.data[0] : input.frames ? input.frames.data[0] : 0.0f;
  for (int64_t i = 0; i < soft_tokens.dim[0]; ++i)
    for (int64_t k = 0; k < soft_tokens.dim[1]; ++k) soft_tokens.row(i)[k] = mean + static_cast<float>(i + k) * 0.001f;
  std::lock_guard lock(log_->mutex);
  ++log_->encodes;
}

void FakeModel::embed_side_id(int32_t id, View<float, 1> out) {
  for (int64_t k = 0; k < out.dim[0]; ++k) out[k] = static_cast<float>(id);
}

}  // namespace g3n::testing
