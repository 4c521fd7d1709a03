// A ragged batch as plain data, and the seam between runtime and a language model (TextModel, FakeModel, later a GPU
// model).
#pragma once
#include <cstdint>
#include <memory>
#include <span>

#include "core/context.h"
#include "core/dtype.h"
#include "core/view.h"

namespace g3n {

// One position of one sequence. Rows of a sequence are adjacent, their positions ascend by 1 from the sequence's
// length.
struct Row {
  int32_t sequence = 0;  // index into Batch::caches
  int32_t position = 0;
  int32_t id = 0;           // token id; also of a soft token (its placeholder)
  int32_t soft_token = -1;  // row of Batch::soft_tokens that replaces the embedding, or -1
  bool wants_logits = false;
};

// What a sequence has left behind in a model. Belongs to the model that made it.
class SequenceCache {
 public:
  virtual ~SequenceCache() = default;
  virtual int64_t length() const = 0;   // positions written
  virtual int64_t context() const = 0;  // positions at most
  virtual int64_t bytes() const = 0;    // memory held now
  virtual void clear() = 0;             // back to length 0, memory kept
};

struct Batch {
  std::span<const Row> rows;
  std::span<SequenceCache* const> caches;
  View<const float, 2> soft_tokens;  // [any, hidden]
};

// What K and V are kept in unless something else is asked for.
constexpr DType standard_cache(ComputeType compute) {
  return compute == ComputeType::kF32 ? DType::kF32 : DType::kBF16;
}

class LanguageModel {
 public:
  virtual ~LanguageModel() = default;
  virtual int64_t vocab_size() const = 0;
  virtual int64_t choosable_ids() const = 0;  // ids below may be chosen: vocab_size_per_layer_input
  // chunk: rows of this sequence in one forward call at most.
  // kv: what K and V are kept in: F32, BF16 or Q8_0.
  virtual std::unique_ptr<SequenceCache> make_cache(int64_t context, int64_t chunk, DType kv) const = 0;
  // Appends all rows to their caches; logits: [rows that want them, vocab], in row order. Throws kInvalidArgument for
  // rows that do not fit together, kContextFull, kCancelled; the caches then stand where they stood before the call.
  virtual void forward(Context& ctx, const Batch& batch, View<float, 2> logits) const = 0;
};

}  // namespace g3n
