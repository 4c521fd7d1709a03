// Engine: one loaded model, shared by any number of sessions and threads. Forward passes take turns on one thread pool.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "g3n/error.h"
#include "g3n/message.h"
#include "g3n/options.h"
#include "g3n/prompt.h"

namespace g3n {

// Called from the thread that asked, while an answer is made. Must not throw.
class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual void on_prefill(std::int64_t done_tokens, std::int64_t total_tokens) {}
  virtual void on_token(std::int32_t id) {}
  virtual void on_text(std::string_view text) {}  // whole UTF-8 characters, stop strings held back
};

struct Request {
  Prompt prompt;
  Sampling sampling;
  std::int64_t max_tokens = -1;        // -1: until the context is full
  std::vector<std::string> stop;       // the answer ends before the first of these
  std::vector<std::int32_t> stop_ids;  // empty: the checkpoint's (generation_config.json)
  const std::atomic<bool>* cancelled = nullptr;
};

enum class FinishReason { kStop, kLength, kCancelled };
const char* finish_reason_name(FinishReason reason);  // "stop", "length", "cancelled"

struct Timings {
  double encode_seconds = 0;          // media to soft tokens
  double prefill_seconds = 0;         // prompt to first logits
  double decode_seconds = 0;          // all tokens after the first
  std::int64_t prefilled_tokens = 0;  // prompt tokens that were computed; the others were in the cache
};

struct Answer {
  std::string text;               // without control tokens and stop strings
  std::vector<std::int32_t> ids;  // every generated id, a stop token included
  FinishReason finish_reason = FinishReason::kStop;
  std::int64_t prompt_tokens = 0;
  Timings timings;
};

struct ModelInfo {
  std::string path;
  bool has_tokenizer = false, has_vision = false, has_audio = false;
  std::int64_t context = 0;  // positions per conversation
  std::int64_t vocab_size = 0;
  std::int64_t hidden_size = 0;
  std::string kernels;  // name of the kernel table in use
  int threads = 0;
  int image_size = 0;
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

  // ---- prompts ----
  std::string render(const ChatPrompt& prompt) const;              // the template's text, one placeholder per medium
  std::vector<std::int32_t> tokenize(const Prompt& prompt) const;  // ids alone; media are counted, not decoded
  PreparedPrompt prepare(const Prompt& prompt, const std::atomic<bool>* cancelled = nullptr);

  // Waits for the answer. Throws kContextFull (both numbers), kCancelled (before the first token), kInvalidArgument,
  // kBadFile (media).
  Answer generate(const Request& request, EventSink* sink = nullptr);

  // Logits that follow the prompt's positions first, first + 1, ...: on_logits(position, [vocab_size]), ascending; the
  // values are valid during the call. Throws as generate does, and kInvalidArgument if `first` is no position.
  void logits(const PreparedPrompt& prompt, std::int64_t first,
              const std::function<void(std::int64_t, std::span<const float>)>& on_logits,
              const std::atomic<bool>* cancelled = nullptr);

 private:
  friend class Session;
  struct Impl;
  explicit Engine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace g3n
