// The seam between the runtime and a model (CpuModel over Gemma 3n, FakeModel in tests, later a GPU model): a ragged
// batch as plain data, opaque caches, one forward call. No thread, kernel or file is visible from either side.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "core/taps.h"
#include "core/view.h"

namespace g3n {

// One position of one sequence. Rows of a sequence are adjacent, their positions ascend by 1 from its cache's length.
struct Row {
  int32_t sequence = 0;  // index into Batch::caches
  int32_t position = 0;
  int32_t id = 0;           // token id; also of a soft token (its placeholder)
  int32_t soft_token = -1;  // index into Batch::soft_tokens of the vector that replaces the embedding, or -1
  bool wants_logits = false;
};

// What a sequence has left behind in a model. Belongs to the model that made it, which outlives it. One thread steps,
// commits, truncates and forks; any thread may destroy.
//
// forward() appends behind `length`; what is not committed is overwritten by the next forward, so a step that failed,
// was cancelled or was rejected leaves nothing.
class SequenceCache {
 public:
  virtual ~SequenceCache() = default;
  virtual int64_t length() const = 0;   // committed positions
  virtual int64_t context() const = 0;  // positions at most
  virtual int64_t bytes() const = 0;    // memory held now; what forks share counts in each
  // The first `count` positions that the last forward appended now belong to the sequence.
  virtual void commit(int64_t count) = 0;
  // Whether the sequence can go on from `length` positions: true for up to 64 fewer than were ever committed, and
  // wherever what a sliding window sees is still there.
  virtual bool resumable(int64_t length) const = 0;
  // Whether it could still go on from `length` positions when `committed` (at least as many as now) are committed.
  virtual bool stays_resumable(int64_t length, int64_t committed) const = 0;
  // Memory that the next forward of `count` rows takes at most.
  virtual int64_t bytes_to_append(int64_t count) const = 0;
  // Back to `length` positions. Throws kInternal where that is not resumable.
  virtual void truncate(int64_t length) = 0;
  // A second sequence that begins with the first `length` positions of this one; memory is shared as far as it is
  // whole. Throws kInternal where that is not resumable, kOutOfMemory.
  virtual std::unique_ptr<SequenceCache> fork(int64_t length) const = 0;
};

struct Batch {
  std::span<const Row> rows;
  std::span<SequenceCache* const> caches;
  std::span<const float* const> soft_tokens;  // each [hidden]
};

// What a medium's encoder is fed: pixels of an image or log-mel frames of a clip.
struct EncoderInput {
  View<const float, 3> pixels;     // [height, width, 3] in [0, 1]; null for a clip
  View<const float, 2> frames;     // [frames, mels]; null for an image
  std::span<const uint8_t> valid;  // [frames] of a clip: 0 marks padding
};

struct StepOptions {
  TapSink* taps = nullptr;
  // Called between layers and encoder blocks. What it throws ends the call, whose work is then lost. During encode() it
  // may call forward() of the same model; during forward() it may not.
  const std::function<void()>* between = nullptr;
};

struct CacheUse {
  int64_t bytes = 0, pages = 0;  // held by sequences; a shared page counts once
  int64_t free_bytes = 0;        // kept for the next ones
};

class LanguageModel {
 public:
  virtual ~LanguageModel() = default;
  virtual int64_t vocab_size() const = 0;
  virtual int64_t choosable_ids() const = 0;  // ids below may be chosen: vocab_size_per_layer_input
  virtual int64_t hidden_size() const = 0;    // of soft tokens
  virtual std::unique_ptr<SequenceCache> make_cache(int64_t context) = 0;
  virtual CacheUse cache_use() const = 0;  // any thread
  // Memory of a cache with `length` committed positions that shares nothing. Any thread.
  virtual int64_t cache_bytes(int64_t length) const = 0;

  // Computes all rows and appends them to their caches, uncommitted. logits: [rows that want them, vocab], in row
  // order. Throws kInvalidArgument for rows that do not fit together, kContextFull, kOutOfMemory, and what
  // options.between throws; every cache then stands where it stood.
  virtual void forward(const Batch& batch, View<float, 2> logits, const StepOptions& options) = 0;

  // Soft tokens of one medium, [soft tokens, hidden]. Throws kUnsupported without that encoder, and what
  // options.between throws.
  virtual void encode(const EncoderInput& input, View<float, 2> soft_tokens, const StepOptions& options) = 0;
  // The vector of an id of a side vocabulary (an image's or a sound's marks); out: [hidden].
  virtual void embed_side_id(int32_t id, View<float, 1> out) = 0;

  // f(begin, end) over [0, count) on the model's threads; between steps, from the stepping thread. f must not throw.
  virtual void parallel(int64_t count, const std::function<void(int64_t, int64_t)>& f) = 0;
};

}  // namespace g3n
