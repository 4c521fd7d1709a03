// CpuModel: Gemma 3n behind the seam: a thread pool, a kernel table, scratch and the pages of all K and V.
#pragma once
#include <memory>

#include "core/arena.h"
#include "core/context.h"
#include "core/thread_pool.h"
#include "g3n/options.h"
#include "model/model.h"
#include "seam/language_model.h"
#include "text/kv_pages.h"

namespace g3n {

struct CpuOptions {
  int threads = 0;  // 0: one per usable core
  Compute compute = Compute::kF32;
  CacheType kv = CacheType::kAuto;
};

// One thread at a time, but for cache_use. The model's weights may be loaded afterwards, with pool().
class CpuModel : public LanguageModel {
 public:
  CpuModel(std::shared_ptr<const Gemma3n> model, const CpuOptions& options);
  ~CpuModel() override;

  int64_t vocab_size() const override { return model_->text().config().vocab_size; }
  int64_t choosable_ids() const override { return model_->text().config().vocab_size_per_layer_input; }
  int64_t hidden_size() const override { return model_->text().config().hidden_size; }
  std::unique_ptr<SequenceCache> make_cache(int64_t context) override;
  CacheUse cache_use() const override;
  int64_t cache_bytes(int64_t length) const override;

  void forward(const Batch& batch, View<float, 2> logits, const StepOptions& options) override;
  // An encoder that is not loaded is loaded now; Gemma3n::load_encoder does it ahead of time, elsewhere.
  void encode(const EncoderInput& input, View<float, 2> soft_tokens, const StepOptions& options) override;
  void embed_side_id(int32_t id, View<float, 1> out) override;
  // The range is cut into a few pieces per thread.
  void parallel(int64_t count, const std::function<void(int64_t, int64_t)>& f) override;

  const Gemma3n& model() const { return *model_; }
  ThreadPool& pool() { return pool_; }
  const ThreadPool& pool() const { return pool_; }
  const KernelTable& kernels() const { return kernels_; }
  ComputeType compute() const { return compute_; }
  size_t scratch_bytes() const { return arena_.held_bytes(); }

 private:
  // One call and its scratch; inside an encode there may be another, of forward.
  class Call;

  std::shared_ptr<const Gemma3n> model_;
  ThreadPool pool_;
  const KernelTable& kernels_;
  ComputeType compute_;
  std::shared_ptr<PagePool> pages_;
  Arena arena_;
  int depth_ = 0;          // of calls
  size_t step_bytes_ = 0;  // scratch that forward calls of late needed at most
};

}  // namespace g3n
