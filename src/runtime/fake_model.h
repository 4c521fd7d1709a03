// FakeModel: a scripted language model without weights. The decode loop, sessions and stop rules are tested with it.
#pragma once
#include <vector>

#include "seam/language_model.h"

namespace g3n {

// At position p (the length of the sequence after the row) the likeliest id is script[p % script.size()]; all other
// logits are 0.
class FakeModel : public LanguageModel {
 public:
  FakeModel(int64_t vocab_size, std::vector<int32_t> script) : vocab_size_(vocab_size), script_(std::move(script)) {}

  int64_t vocab_size() const override { return vocab_size_; }
  int64_t choosable_ids() const override { return vocab_size_; }
  std::unique_ptr<SequenceCache> make_cache(int64_t context, int64_t chunk, DType kv) const override;
  void forward(Context& ctx, const Batch& batch, View<float, 2> logits) const override;

 private:
  int64_t vocab_size_;
  std::vector<int32_t> script_;
};

}  // namespace g3n
