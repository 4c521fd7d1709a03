#include "model/cpu_model.h"

#include <algorithm>
#include <string>

#include "g3n/error.h"
#include "kernels/table.h"

namespace g3n {
namespace {

ComputeType compute_type(Compute compute) { return compute == Compute::kBF16 ? ComputeType::kBF16 : ComputeType::kF32; }

}  // namespace

DType cache_dtype(CacheType type, Compute compute) {
  switch (type) {
    case CacheType::kF32: return DType::kF32;
    case CacheType::kBF16: return DType::kBF16;
    case CacheType::kQ8: return DType::kQ8_0;
    case CacheType::kAuto: break;
  }
  return compute == Compute::kBF16 ? DType::kBF16 : DType::kF32;
}

class CpuModel::Call {
 public:
  Call(CpuModel& model, const StepOptions& options)
      : context{.pool = model.pool_,
                .kernels = model.kernels_,
                .arena = model.arena_,
                .compute = model.compute_,
                .taps = options.taps,
                .between = options.between},
        model_(model),
        scope_(model.arena_) {
    if (!model.model_->has_weights())
      throw Error(ErrorCode::kUnsupported, model.model_->path() + ": opened without weights: nothing can be computed");
    if (model_.depth_++ == 0) model_.arena_.restart_peak();
  }
  ~Call() { --model_.depth_; }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  bool is_outermost() const { return model_.depth_ == 1; }

  Context context;

 private:
  CpuModel& model_;
  ArenaScope scope_;
};

CpuModel::CpuModel(std::shared_ptr<const Gemma3n> model, const CpuOptions& options)
    : model_(std::move(model)),
      pool_(options.threads),
      kernels_(best_kernels()),
      compute_(compute_type(options.compute)),
      pages_(std::make_shared<PagePool>(cache_dtype(options.kv, options.compute),
                                        model_->text().config().num_key_value_heads,
                                        model_->text().config().head_dim)) {}

CpuModel::~CpuModel() = default;

std::unique_ptr<SequenceCache> CpuModel::make_cache(int64_t context) {
  return model_->text().make_cache(pages_, context);
}

CacheUse CpuModel::cache_use() const { return pages_->use(); }

int64_t CpuModel::cache_bytes(int64_t length) const {
  return kv_bytes(model_->text().config(), pages_->dtype(), length);
}

void CpuModel::forward(const Batch& batch, View<float, 2> logits, const StepOptions& options) {
  Call call(*this, options);
  model_->text().forward(call.context, batch, logits);
  if (call.is_outermost()) step_bytes_ = std::max(step_bytes_, arena_.peak_bytes());
}

void CpuModel::encode(const EncoderInput& input, View<float, 2> soft_tokens, const StepOptions& options) {
  // The scratch of an encoder is many times that of a step; it goes back to the system, whatever ends the call.
  struct Trim {
    CpuModel& model;
    ~Trim() {
      if (model.depth_ > 0 || model.arena_.held_bytes() <= model.step_bytes_) return;
      model.arena_.trim();
      model.step_bytes_ = 0;
    }
  } trim{*this};
  Call call(*this, options);
  if (input.pixels)
    model_->vision()->forward(call.context, input.pixels, soft_tokens);
  else if (input.frames)
    model_->audio()->forward(call.context, input.frames, input.valid, soft_tokens);
  else
    throw Error(ErrorCode::kInternal, "encode: expected pixels or log-mel frames, got neither");
}

void CpuModel::embed_side_id(int32_t id, View<float, 1> out) {
  expect_shape(out, {hidden_size()}, "vector of a side id");
  const MediaKindFacts* kind = model_->kinds().of_side_id(id);
  if (!kind)
    throw Error(ErrorCode::kInvalidArgument,
                "id " + std::to_string(id) + ": expected a text token or an id of an encoder's own table");
  Call call(*this, {});
  const int64_t row = id - kind->side_offset;
  const View<float, 2> vector{out.data, {1, out.dim[0]}};
  if (kind->kind == MediaKind::kImage)
    model_->vision()->hard_embedding(call.context, row, vector);
  else
    model_->audio()->hard_embedding(call.context, row, vector);
}

void CpuModel::parallel(int64_t count, const std::function<void(int64_t, int64_t)>& f) {
  const int64_t pieces = int64_t{4} * pool_.threads();
  pool_.parallel_for(count, std::max<int64_t>(1, (count + pieces - 1) / pieces), f);
}

}  // namespace g3n
