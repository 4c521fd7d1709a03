// Generation: the sequences of one request, from Engine::submit to the response. Events come from the engine's thread
// and are gathered; the I/O thread fetches them when the connection can take more. Of a stream whose reader does not
// follow, the sequences are paused when kMostEvents wait, and nobody else. A client that leaves cancels all of it.
#pragma once
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "server/service.h"

namespace g3n::server {

struct TokenEntry {
  std::string bytes;
  float logprob = 0;
  std::vector<std::pair<std::string, float>> top;
};
// Control tokens add no bytes; among the likeliest they stand as they are written.
TokenEntry token_entry(const Engine& engine, const TokenLogprob& token);

// One answer of a request: a prompt, which several may share, and what is asked of it.
struct Sequence {
  std::shared_ptr<const Prompt> prompt;
  std::int64_t tokens = 0;  // of the prompt
  AnswerOptions options;
};

// What a request is waiting for, in this order.
enum class Stage { kQueued, kEncoding, kPrefill, kDecode };
const char* stage_name(Stage stage);

struct Progress {
  Stage stage = Stage::kQueued;
  std::int64_t done = 0, cached = 0, total = 0;  // tokens of the prompt; done: cached ones, too
  double ms = 0;
};

struct Result {
  Answer answer;
  std::vector<TokenEntry> entries;  // of the tokens whose bytes are in the text, or of all
};

// What an API makes of answers: one JSON object, or frames of a stream.
class AnswerFormat {
 public:
  virtual ~AnswerFormat() = default;
  virtual JsonNode whole(const std::vector<Result>& results) = 0;
  // ---- frames ----
  virtual std::string begin(std::size_t index) = 0;
  // The prompt's log-probabilities, in front of all that follows, if they are asked for.
  virtual std::string prompt(std::size_t index, const std::vector<TokenLogprob>& tokens) { return ""; }
  virtual std::string delta(std::size_t index, const std::string& text, const std::vector<TokenEntry>& entries) = 0;
  virtual std::string progress(const Progress& progress) = 0;
  virtual std::string finish(std::size_t index, const Answer& answer) = 0;
  virtual std::string end(const std::vector<Result>& results) = 0;
};

struct GenerationRequest {
  std::vector<Sequence> sequences;
  std::string prompt_name;  // of the field that the prompts came in
  bool is_stream = false;
  bool has_progress = false;             // frames of progress
  bool has_all_entries = false;          // also of tokens whose bytes are not in the text
  std::vector<std::string> media_names;  // JSON paths: an error of the library that begins with one is the client's
  std::string modality;                  // "image", "audio", "image+audio" or empty
  std::chrono::milliseconds deadline{0};
};

class Generation : public HttpStream, public std::enable_shared_from_this<Generation> {
 public:
  // Takes a place in the queue and submits. Throws ApiError before anything is sent.
  static void start(std::shared_ptr<Call> call, GenerationRequest request, std::unique_ptr<AnswerFormat> format);

  enum class Cause { kNone, kGone, kDeadline, kDraining, kSibling };
  void cancel(Cause cause);

  // ---- HttpStream ----
  bool next(std::string& bytes) override;
  std::string idle() override;

 private:
  class Sink;
  struct Choice {
    std::optional<std::vector<TokenLogprob>> prompt;  // not sent yet, nor is
    std::string text;
    std::vector<TokenEntry> entries;                           // beside it
    std::vector<std::pair<std::int64_t, TokenEntry>> pending;  // until the answer has that many bytes
    std::int64_t told_bytes = 0, token_bytes = 0;
    std::vector<TokenEntry> all;
    std::optional<Answer> answer;
    bool has_begun = false, is_finished = false;
  };

  static constexpr std::size_t kMostEvents = 256;

  Generation(std::shared_ptr<Call> call, GenerationRequest request, std::unique_ptr<AnswerFormat> format);
  void submit();
  // Behind the mutex: an event came, all events were fetched.
  void count_event();
  void forget_events();
  void reach(Stage stage, std::int64_t done_tokens, std::int64_t cached_tokens);
  // ---- the engine's thread ----
  void on_event();
  void on_end(std::size_t index, const Answer* answer, const Error* error);
  // ---- the I/O thread ----
  void start_stream();
  void send_head();
  void finish();
  // How it went wrong, if it did. Behind the mutex, once.
  std::optional<ApiError> problem_at_end() const;
  ApiError api_error(const Error& error) const;
  void note_end();

  const std::shared_ptr<Call> call_;
  GenerationRequest request_;
  const std::unique_ptr<AnswerFormat> format_;
  const std::int64_t prompt_tokens_;  // of the first sequence

  mutable std::mutex mutex_;
  std::vector<Choice> choices_;
  std::vector<Ticket> tickets_;
  std::optional<Progress> progress_;
  std::optional<Error> error_;
  std::optional<ApiError> problem_;  // what the client is told of it, when all has ended
  std::size_t ended_ = 0, events_ = 0;
  bool is_paused_ = false;
  Cause cause_ = Cause::kNone;
  Stage stage_ = Stage::kQueued;
  bool is_streaming_ = false, is_over_ = false;
  std::atomic<bool> is_awake_{false};
};

}  // namespace g3n::server
