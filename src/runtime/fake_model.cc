#include "runtime/fake_model.h"

#include <algorithm>
#include <string>

namespace g3n {
namespace {

class FakeCache : public SequenceCache {
 public:
  explicit FakeCache(int64_t context) : context_(context) {}
  int64_t length() const override { return length_; }
  int64_t context() const override { return context_; }
  int64_t bytes() const override { return 0; }
  void clear() override { length_ = 0; }
  void append(int32_t position) {
    if (position != length_)
      throw Error(ErrorCode::kInvalidArgument,
                  "expected position " + std::to_string(length_) + ", got " + std::to_string(position));
    if (length_ == context_)
      throw Error(ErrorCode::kContextFull, "the context of " + std::to_string(context_) + " positions is full");
    ++length_;
  }

 private:
  int64_t length_ = 0, context_;
};

}  // namespace

std::unique_ptr<SequenceCache> FakeModel::make_cache(int64_t context, int64_t, DType) const {
  return std::make_unique<FakeCache>(context);
}

void FakeModel::forward(Context& ctx, const Batch& batch, View<float, 2> logits) const {
  ctx.check_cancelled();
  int64_t out = 0;
  for (const Row& row : batch.rows) {
    static_cast<FakeCache&>(*batch.caches[row.sequence]).append(row.position);
    if (!row.wants_logits) continue;
    float* scores = logits.row(out++);
    std::fill_n(scores, vocab_size_, 0.0f);
    scores[script_[(row.position + 1) % script_.size()]] = 20.0f;
  }
}

}  // namespace g3n
