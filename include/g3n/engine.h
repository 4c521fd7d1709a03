// Engine: one loaded model, shared by any number of sessions and threads. One thread of its own steps the model for
// all.
#pragma once
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "g3n/error.h"
#include "g3n/message.h"
#include "g3n/options.h"
#include "g3n/prompt.h"

namespace g3n {

struct TokenLogprob {
  std::int32_t id = 0;
  float logprob = 0;                                // log-softmax of the model's logits, before anything of Sampling
  bool is_likeliest = false;                        // of the whole vocabulary; of equal ones the lowest id
  std::vector<std::pair<std::int32_t, float>> top;  // the likeliest ids, best first
};

struct Answer;

// What happens to a request. Called from the thread that waits (Engine::generate, Session::reply), or from the engine's
// own threads, one at a time (Engine::submit): then it must return at once. Must not throw.
class EventSink {
 public:
  virtual ~EventSink() = default;
  // The prompt has its tokens and every file of it decodes; so many requests are served before it.
  virtual void on_queue(std::int64_t ahead) {}
  virtual void on_media(std::int64_t encoded, std::int64_t total) {}  // from 0 on, if media are to be encoded
  virtual void on_prefill(std::int64_t done_tokens, std::int64_t total_tokens) {}
  // Behind the prompt's last on_prefill, if AnswerOptions::prompt_logprobs asks for it: what Answer will have of it.
  virtual void on_prompt_logprobs(std::span<const TokenLogprob> tokens) {}
  virtual void on_token(std::int32_t id) {}
  virtual void on_logprobs(const TokenLogprob& token) {}  // behind its on_token, if AnswerOptions::logprobs asks for it
  virtual void on_text(std::string_view text) {}          // whole UTF-8 characters, stop strings held back
  // The last event: exactly one of these two.
  virtual void on_finish(const Answer& answer) {}
  virtual void on_error(const Error& error) {}
};

struct Request {
  Prompt prompt;
  AnswerOptions options;
};

enum class FinishReason { kStop, kLength, kCancelled };
const char* finish_reason_name(FinishReason reason);  // "stop", "length", "cancelled"

struct Timings {
  double queue_seconds = 0;           // waiting for a worker and for a place
  double encode_seconds = 0;          // media to soft tokens
  double prefill_seconds = 0;         // prompt to first logits
  double decode_seconds = 0;          // all tokens after the first
  std::int64_t prefilled_tokens = 0;  // prompt tokens that were computed; the others were in the cache
};

struct Answer {
  std::string text;               // without control tokens and stop strings
  std::vector<std::int32_t> ids;  // every generated id, a stop token included
  FinishReason finish_reason = FinishReason::kStop;
  std::string stop;                           // the stop string that ended it, if one did
  std::vector<TokenLogprob> logprobs;         // per id, if asked for
  std::vector<TokenLogprob> prompt_logprobs;  // per id of the prompt but the first, if asked for
  std::uint64_t seed = 0;
  std::int64_t prompt_tokens = 0;
  Timings timings;
};

// A submitted request. Copies are the same request; it goes on when the last one is gone. Any thread.
class Ticket {
 public:
  Ticket() = default;
  explicit operator bool() const { return state_ != nullptr; }
  // The request ends within a step, whatever it is doing; nothing happens if it has ended.
  void cancel() const;
  // It takes part in no step from the next one on, and keeps its place: whoever reads its events cannot follow. The
  // sink may call it. Nothing happens if it has ended.
  void pause() const;
  void resume() const;
  // Whether it has ended within this time.
  bool wait_for(std::chrono::milliseconds time) const;
  void wait() const;
  // Waits for the end. Throws the request's Error.
  const Answer& answer() const;

 private:
  friend class Engine;
  struct State;

  explicit Ticket(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

// An intermediate value of a forward pass, whole: pieces of a prompt joined along their token axis.
struct Tap {
  std::string name;  // "text.layer.3.laurel", "vision.stem", "image.1.vision.stem": docs/cli.md, g3n trace
  std::vector<std::int64_t> dims;
  std::vector<float> values;
};

// What Engine::trace keeps in memory unless told otherwise.
constexpr std::int64_t kMostTraceBytes = std::int64_t{2} << 30;

// What a model says about a text that follows a prompt.
struct Score {
  std::vector<TokenLogprob> tokens;  // of the text
  double total = 0;                  // of their logprobs
};

// What the engine is doing.
struct Stats {
  std::int64_t waiting = 0, running = 0;          // requests
  std::int64_t cache_bytes = 0, cache_pages = 0;  // of K and V
  std::int64_t idle_cache_bytes = 0;              // of these: of requests that ended, for prompts that begin alike
  std::int64_t cache_limit_bytes = 0;             // what all of K and V may take: EngineOptions::kv_ram, or its default
  std::int64_t media_cache_bytes = 0;             // of soft tokens, for media that come again
  // since it was opened
  std::int64_t steps = 0, rows = 0;
  // Of the steps: [i] those of at most 2^i rows that are not counted before it, the last one all beyond 512.
  std::array<std::int64_t, 11> step_rows{};
  std::int64_t prefix_lookups = 0, prefix_hits = 0, prefix_evictions = 0;
  std::int64_t media_lookups = 0, media_hits = 0;
  std::int64_t pauses = 0;  // of requests for which there was no room left
};

// Texts of the tokens that callers ask for by name; empty where the vocabulary has none.
struct TokenTexts {
  std::string bos, eos, pad, image, audio;  // of one soft token each
};

struct ModelInfo {
  std::string version;  // of the library
  std::string path;
  std::vector<std::string> files;  // and folders that it is read from, which are not to be written over
  bool has_tokenizer = false, has_vision = false, has_audio = false;
  std::int64_t context = 0;  // positions per conversation
  std::int64_t vocab_size = 0;
  std::int64_t hidden_size = 0;
  std::string kernels;  // name of the kernel table in use
  int threads = 0;
  int image_size = 0;
  std::string recipe;                              // what the weights are kept in: "keep" (as in the file), "q4", ...
  std::string chat_template;                       // the checkpoint's Jinja text; empty: it brings none
  TokenTexts tokens;                               // empty without a tokenizer
  std::int64_t image_tokens = 0, clip_tokens = 0;  // soft tokens of a picture, of a clip
  std::int64_t least_clip_samples = 0, most_clip_samples = 0;  // a longer sound becomes several clips (split_clips)
  double load_seconds = 0;
  std::int64_t weight_bytes = 0;  // packed in memory
};

class Session;

class Engine {
 public:
  // Loads a checkpoint. Encoders are loaded when media first come. Throws Error: kNotFound, kBadFile, kUnsupported,
  // kOutOfMemory.
  static std::shared_ptr<Engine> open(const EngineOptions& options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  const ModelInfo& info() const;
  const Sampling& default_sampling() const;  // generation_config.json; temperature 0 where it says do_sample false
  const std::vector<std::int32_t>& default_stop_ids() const;

  // ---- tokenizer ---- throws kUnsupported when the checkpoint has none
  std::vector<std::int32_t> encode(std::string_view text, ControlTokens control = ControlTokens::kAsText) const;
  std::string decode(const std::vector<std::int32_t>& ids, bool skip_special = true) const;
  std::string piece(std::int32_t id) const;
  std::int32_t id_of(std::string_view piece) const;  // -1: no such piece
  std::string bytes_of(std::int32_t id) const;       // what a token adds to a text; not always whole characters
  bool is_special(std::int32_t id) const;            // a control token: left out of decoded text
  std::int32_t pieces() const;                       // ids below have one

  // ---- prompts ----
  std::string render(const ChatPrompt& prompt) const;              // the template's text, one placeholder per medium
  std::vector<std::int32_t> tokenize(const Prompt& prompt) const;  // ids alone; media are counted, not decoded
  IdsPrompt as_ids(const ChatPrompt& prompt) const;                // that stands for it: ids as of tokenize
  PreparedPrompt prepare(const Prompt& prompt, const std::atomic<bool>* cancelled = nullptr);

  // ---- media ---- what encoders are fed, and what they make. Throw kUnsupported for a kind without encoder,
  // kInvalidArgument and kBadFile for what cannot be read.
  // Works without weights, too. Of a picture in the size that it or the engine names.
  PixelValues preprocess(const ImagePart& image) const;
  // Of clips (files or samples) as one batch: padded to the longest, as HF does.
  std::vector<LogMelFrames> preprocess(std::span<const AudioPart> clips) const;
  SoftTokens encode(const MediaPart& medium, const std::atomic<bool>* cancelled = nullptr);

  // Takes a copy and returns at once. Throws kInvalidArgument for values out of range; everything else that is wrong
  // (a prompt too long, a medium that cannot be read) comes as the sink's on_error and out of Ticket::answer.
  Ticket submit(Request request, std::shared_ptr<EventSink> sink = nullptr);
  // The same of a prompt that several requests share: its media are held once.
  Ticket submit(std::shared_ptr<const Prompt> prompt, AnswerOptions options, std::shared_ptr<EventSink> sink = nullptr);

  // submit, and wait for the answer; the sink is called from this thread. Throws kContextFull (both numbers),
  // kCancelled (before the first token), kInvalidArgument, kBadFile (media).
  Answer generate(const Request& request, EventSink* sink = nullptr);

  // Logits that follow the prompt's positions, which ascend: on_logits(position, [vocab_size]); the values are valid
  // during the call, which comes from this thread. Other rows end early, those behind the last position are not
  // computed. Throws as generate does, and kInvalidArgument for what are no such positions.
  void logits(const PreparedPrompt& prompt, std::span<const std::int64_t> positions,
              const std::function<void(std::int64_t, std::span<const float>)>& on_logits,
              const std::atomic<bool>* cancelled = nullptr);

  // How likely each of the continuations is behind the prompt, in their order. The prompt is computed once, each
  // continuation on a copy of its cache, several at a time; rows of logits are reduced where they are made. top: in
  // 0..20, the likeliest ids beside each. Throws as generate does, kInvalidArgument for a continuation that is empty or
  // has an id outside the vocabulary or of a medium (they belong into the prompt), by its index.
  std::vector<Score> score(const PreparedPrompt& prefix, std::span<const std::vector<std::int32_t>> continuations,
                           int top = 0, const std::atomic<bool>* cancelled = nullptr);

  // Every intermediate value of the prompt (and of its media) whose name matches one of the globs; all rows go through
  // all layers. Throws as generate does, kInvalidArgument for a glob that matches nothing and for more than most_bytes.
  std::vector<Tap> trace(const Prompt& prompt, std::span<const std::string> globs,
                         std::int64_t most_bytes = kMostTraceBytes, const std::atomic<bool>* cancelled = nullptr);

  Stats stats() const;

  struct Impl;  // the library's own

 private:
  friend struct EngineAccess;
  explicit Engine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace g3n
