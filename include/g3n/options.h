// Options of an Engine and of one answer. Behaviour and speed are apart; every default is here and nowhere else.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace g3n {

// How activations enter a matmul. Weights keep the type of their file.
enum class Compute {
  kF32,   // exact: equal to transformers in float32
  kBF16,  // activations rounded to bf16 in matmuls
};
// How K and V are kept.
enum class CacheType {
  kAuto,  // as activations: f32 or bf16
  kF32,
  kBF16,
  kQ8,  // int8 with a scale per 32 dims: 0.53 of the memory of bf16
};

struct EngineOptions {
  // ---- what ----
  std::string model;   // a Hugging Face folder, a GGUF file or a bundle, "org/name" of hub_caches, or "name:tag" of
                       // ollama_folders
  std::string mmproj;  // where vision and audio are: a GGUF file (mmproj), a folder or a bundle; "auto": the one mmproj
                       // file beside the model; empty: in the model
  std::vector<std::string> hub_caches;      // folders searched for "org/name", in order; nothing is ever downloaded
  std::vector<std::string> ollama_folders;  // ollama's: with manifests and blobs
  std::int64_t context = 0;                 // positions per conversation; 0: the checkpoint's max_position_embeddings
  std::string quantize;      // weights packed while loading: "q4", "q8", "keep" (as in the file) or a recipe file
                             // (docs/quantization.md); empty: as in the file, and all that bundles take
  int image_size = 0;        // pixels a side of images, as check_image_side wants them; 0: the checkpoint's own
  bool load_weights = true;  // false: prompts, templates and tokens only, ready at once; answers and media are refused
  // ---- how ----
  Compute compute = Compute::kF32;
  CacheType kv_cache = CacheType::kAuto;
  bool preload_encoders = false;    // vision and audio weights are made ready while loading, not when media first come
  bool release_encoders = false;    // they are given back after each prompt with media, and loaded again for the next
  int threads = 0;                  // of the model; 0: one per usable core
  int workers = 2;                  // threads that turn requests into tokens, pixels and samples
  std::int64_t max_sequences = 16;  // answers made at the same time; more requests wait
  std::int64_t chunk = 512;  // prompt positions per step of a sequence that is alone; bounds scratch, changes no result
  // Memory of all K and V. 0: half of what is free after loading, at least one context. What ended goes first, then the
  // youngest request pauses and is computed again when there is room.
  std::int64_t kv_ram = 0;
  // Of that, at most this stays with what ended, so that a prompt that begins alike computes only what is new; 0: none,
  // -1: all that nobody runs in. Changes no result.
  std::int64_t cache_ram = std::int64_t{1} << 30;
  std::int64_t media_cache = std::int64_t{256}
                             << 20;  // bytes of soft tokens, so that a medium is encoded once; 0: none
  // What decoding a file of a prompt's media may come to, for callers whose files come from strangers. 0: what the
  // library allows everybody (g3n/media.h), no limit of time.
  std::int64_t max_image_side = 0, max_image_pixels = 0;
  double max_decode_seconds = 0;  // of the decoding thread's processor time
  double max_step_ms = 150;  // what the prompts of others may add to a step while somebody waits for the next token
  const std::atomic<bool>* cancelled = nullptr;  // looked at while loading, between tensors: Engine::open then throws
  // ---- to whom ---- called from the loading thread only; may be empty
  std::function<void(const std::string&)> on_warning;  // also later (a sound is cut), from any thread, one at a time
  std::function<void(std::int64_t needed_bytes, std::int64_t free_bytes)> on_memory;   // before anything big is read
  std::function<void(std::int64_t done_bytes, std::int64_t total_bytes)> on_progress;  // while weights are packed
};

// How the next token is chosen: repetition, presence and frequency penalty, bias and bans, temperature, top-k, top-p,
// min-p, in this order (HF: generate).
struct Sampling {
  double temperature = 1.0;         // 0: the likeliest token
  int top_k = 64;                   // 0: all
  double top_p = 0.95;              // 1: all
  double min_p = 0.0;               // 0: all
  double repetition_penalty = 1.0;  // 1: none; over prompt and answer
  double presence_penalty = 0.0;    // 0: none; over the answer
  double frequency_penalty = 0.0;   // 0: none; over the answer, times the count
  std::uint64_t seed = 0;           // the choice is a function of (seed, position): same seed, same answer
};

// Throws Error{kInvalidArgument} naming the value and its range.
void check_sampling(const Sampling& sampling);

// Changes a row of logits, [vocab], in place before the next id is chosen: behind penalties, bias and bans, in front of
// temperature (HF: logits_processor). ids: prompt and answer so far. -infinity: never chosen. Called from a thread of
// the request's own, which it may keep as long as it likes: others go on. What it throws ends the request, kCancelled
// as a cancel does.
using LogitsHook = std::function<void(std::span<const std::int32_t> ids, std::span<float> logits)>;

// What is asked of an answer, besides its prompt.
struct AnswerOptions {
  Sampling sampling;
  std::int64_t max_tokens = -1;                            // -1: until the context is full
  std::int64_t min_tokens = 0;                             // no stop id is chosen before
  std::vector<std::string> stop;                           // the answer ends before the first of these
  std::vector<std::int32_t> stop_ids;                      // empty: the checkpoint's (generation_config.json)
  std::vector<std::int32_t> extra_stop_ids;                // besides those
  bool ignore_stop_ids = false;                            // only max_tokens, stop and the context end the answer
  std::vector<std::pair<std::int32_t, float>> logit_bias;  // added to logits; ids of the vocabulary, each once
  std::vector<std::int32_t> banned_ids;                    // never chosen
  int logprobs = -1;         // n in 0..20: of each chosen token, and the n likeliest; -1: none
  std::string cache_salt;    // prefixes are shared among requests of the same salt only
  std::string client;        // who asks: places are given to clients by turns, in any order of names
  int prompt_logprobs = -1;  // the same of each prompt token but the first: its rows are computed
  LogitsHook logits_hook;    // may be empty
  const std::atomic<bool>* cancelled = nullptr;  // for callers that wait; of a submitted request Ticket::cancel
};

// Throws Error{kInvalidArgument} naming the value and its range.
void check_answer_options(const AnswerOptions& options);

}  // namespace g3n
