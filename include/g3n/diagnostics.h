// Diagnostics: intermediate values of a run in a file, speed on this machine, and how far two models are apart. All of
// it goes through an Engine's own steps; what it shows is what answers are made of.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "g3n/engine.h"

namespace g3n {

// ---- trace ----------------------------------------------------------------------------------------------------------

struct TraceOptions {
  std::vector<std::string> taps;  // globs over names; empty: all
  std::int64_t steps = 0;         // greedy tokens behind the prompt; stop ids do not end them
  bool cut = false;               // only the last row's logits are wanted, so that the others stop early
  const std::atomic<bool>* cancelled = nullptr;
};
struct TraceReport {
  std::int64_t tensors = 0;                  // in the file
  std::vector<std::string> unmatched_globs;  // of the taps
};

// Writes every tap of the prompt and its media, whole and in f32, to a .safetensors file, and "step.N.logits" and
// "greedy_ids" of the steps. The file appears only when complete: not for a prompt that has no tap to write. Throws as
// Engine::generate, kContextFull also for steps without room, and what is wrong with the path before any work.
TraceReport write_trace(Engine& engine, const Prompt& prompt, const std::string& path, const TraceOptions& options);
// Of the encoders alone.
TraceReport write_trace(Engine& engine, const std::vector<MediaPart>& media, const std::string& path,
                        const TraceOptions& options);

// ---- speed ----------------------------------------------------------------------------------------------------------

// What is measured; all empty: a look at the model, in a minute or two.
struct BenchOptions {
  std::vector<std::int64_t> prefill;      // prompts of so many tokens
  std::vector<std::int64_t> decode_at;    // decoding behind so many positions
  std::vector<std::int64_t> batch;        // so many sequences decoding together
  std::vector<std::int64_t> image_sizes;  // pictures of so many pixels a side
  std::vector<double> audio_seconds;      // clips
  std::int64_t decode_tokens = 32;        // per sequence, of one measurement of decoding
  std::int64_t repeat = 3;                // measurements of each
  const std::atomic<bool>* cancelled = nullptr;
};

enum class BenchWork { kLoad, kPrefill, kDecode, kBatch, kImage, kAudio };
const char* bench_work_name(BenchWork work);  // "load", "prefill", ...

struct BenchResult {
  BenchWork work = BenchWork::kLoad;
  double amount = 0;  // tokens, positions, sequences, pixels a side, seconds; of kLoad nothing
  // Per measurement: tokens per second (prefill, decode, batch: of all sequences), else seconds.
  std::vector<double> values;

  bool is_rate() const {
    return work == BenchWork::kPrefill || work == BenchWork::kDecode || work == BenchWork::kBatch;
  }
};

struct BenchReport {
  std::string path, format;  // of the model; "folder", "g3n" or "gguf"
  std::string cpu, kernels;
  int threads = 0;
  std::vector<BenchResult> results;
  // Resident memory: the peak of the process, and the largest parts of it at the ends of works. 0: unknown.
  std::int64_t peak_bytes = 0, peak_anonymous_bytes = 0, peak_file_bytes = 0;
};

// Opens the model (repeatedly, until that has taken 10 s) and measures. Ids are made up: no tokenizer is needed. The
// first run of each work warms up and does not count. before: called in front of each work, with its result empty.
// Throws as Engine::open and Engine::generate, and kUnsupported for encoders that are not there.
BenchReport run_bench(const EngineOptions& engine, const BenchOptions& options,
                      const std::function<void(const BenchResult&)>& before = {});

// ---- comparing two models -------------------------------------------------------------------------------------------

struct TextComparison {
  std::int64_t positions = 0;
  double kl_mean = 0, kl_max = 0;  // KL(reference || candidate) of the next token, in nats
  double same_likeliest = 0;       // share of positions
  double perplexity_reference = 0, perplexity_candidate = 0;
};
struct TextComparisonOptions {
  std::int64_t window = 256;                                                    // positions with one context
  std::int64_t tokens = 0;                                                      // of the text; 0: all
  std::function<void(std::int64_t done, std::int64_t total)> on_progress = {};  // tokens
  const std::atomic<bool>* cancelled = nullptr;
};

// The next tokens of both over a text, in turns: no more than a few rows of logits are kept, whatever the window.
// Throws kInvalidArgument for an empty text and for models whose vocabularies differ, kBadFile for logits that are no
// numbers.
TextComparison compare_next_tokens(Engine& reference, Engine& candidate, std::string_view text,
                                   const TextComparisonOptions& options);

// Soft tokens of a medium: root of the mean square difference over that of the reference. Throws kBadFile for soft
// tokens that are no numbers.
double compare_soft_tokens(Engine& reference, Engine& candidate, const MediaPart& medium);

}  // namespace g3n
