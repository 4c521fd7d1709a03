// Job: a request on its way through the engine, from submit to its end: what is asked, and what came of it. Shared by
// the one who asked (Ticket, Engine, Session), a worker that prepares it, and the scheduler that runs it.
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/taps.h"
#include "g3n/engine.h"
#include "g3n/error.h"
#include "runtime/hook_thread.h"
#include "runtime/prompt_builder.h"
#include "runtime/sequence.h"

namespace g3n {

// Wakes the scheduler; outlives it in tickets.
struct WakeUp {
  std::mutex mutex;
  std::condition_variable changed;
  std::uint64_t count = 0;

  void notify();
};

Error cancelled_error();  // kCancelled

// What is asked. Constant from submit on.
struct JobSetup {
  // Template, tokens, decoded media: on a worker thread. Throws what is wrong with the prompt.
  std::function<PromptPlan()> plan;
  AnswerOptions options;
  std::vector<int32_t> stop_ids;       // all that are in force
  std::shared_ptr<EventSink> sink;     // called from the scheduler's thread; may be null
  bool wants_prompt_only = false;      // ends when the media are encoded: Job::prompt
  bool wants_answer = true;            // false: ends with the prompt
  std::optional<WantedLogits> logits;  // these, too
  TapSink* taps = nullptr;             // lives as long as the job; its steps hold this sequence alone
  // Whether it takes part in no step for now (its logits wait to be fetched); Job::wake_up when that changes.
  std::function<bool()> is_paused;
  // Whether it goes on from what others computed before, and leaves what it computed to others; they share nothing with
  // requests of another salt.
  bool shares_prefix = true;
  std::string cache_salt;
  std::string client;                         // places are given to clients by turns
  std::shared_ptr<const SequenceCache> base;  // holds a beginning of the prompt, to go on from in any case; null: none
  bool keeps_cache = false;                   // Job::take_cache gives it back if the end was good
};

class Job {
 public:
  using Clock = std::chrono::steady_clock;

  Job(JobSetup setup, std::shared_ptr<WakeUp> wake_up);

  // ---- any thread ----
  void cancel();
  void pause() { paused_.store(true); }
  void resume();
  void wake_up() { wake_up_->notify(); }
  bool is_cancelled() const { return cancelled_.load(std::memory_order_relaxed); }
  bool is_paused() const { return paused_.load() || (setup_.is_paused && setup_.is_paused()); }
  bool wait_for(std::chrono::milliseconds time) const;
  void wait() const;
  // After the end: throws the job's error.
  const Answer& answer() const;
  std::shared_ptr<const PreparedPrompt> prompt() const { return prompt_; }
  std::unique_ptr<SequenceCache> take_cache() { return std::move(cache_); }

 private:
  friend class Scheduler;
  void end(std::exception_ptr problem) noexcept;  // null: it went well
  // Of the scheduler's thread, when the prompt is complete: the tokens that are known, and how many first ones need not
  // be computed for it.
  TokensView tokens() const;
  int64_t most_shared() const;

  const JobSetup setup_;
  const std::shared_ptr<WakeUp> wake_up_;
  const std::shared_ptr<HookThread> hook_;  // null: no hook
  std::atomic<bool> cancelled_{false}, paused_{false};

  // ---- one thread after the other ----
  std::uint64_t number_ = 0;  // in the order of submit
  PromptPlan plan_;
  std::shared_ptr<const PreparedPrompt> prompt_;
  std::vector<int64_t> keep_at_;
  std::unique_ptr<Sequence> sequence_;
  size_t next_medium_ = 0;
  Clock::time_point submitted_ = Clock::now(), first_step_, decode_start_;
  // What it waits for: that job computes positions that it needs, too.
  std::weak_ptr<const Job> ahead_;
  int64_t until_ = 0;
  int64_t paused_at_end_ = -1;  // how many requests had ended when it paused
  double plan_seconds_ = 0, encode_seconds_ = 0, queue_seconds_ = 0;

  // ---- the end ----
  mutable std::mutex mutex_;
  mutable std::condition_variable ended_changed_;
  bool ended_ = false;
  Answer answer_;
  std::unique_ptr<SequenceCache> cache_;
  // Of its error, if it has one. Each thread that asks makes an Error of its own: copies of one share their text.
  std::optional<std::pair<ErrorCode, std::string>> error_;
};

// Tells every event of a job to a sink on the thread that waits for it.
class EventRelay : public EventSink {
 public:
  explicit EventRelay(EventSink& sink) : sink_(sink) {}

  void on_queue(std::int64_t ahead) override;
  void on_media(std::int64_t encoded, std::int64_t total) override;
  void on_prefill(std::int64_t done_tokens, std::int64_t total_tokens) override;
  void on_prompt_logprobs(std::span<const TokenLogprob> tokens) override;
  void on_token(std::int32_t id) override;
  void on_logprobs(const TokenLogprob& token) override;
  void on_text(std::string_view text) override;
  void on_finish(const Answer& answer) override;
  void on_error(const Error& error) override;

  // Passes on what is there; waits up to `time` for more if there is nothing. False: the last event has passed.
  bool pass_on(std::chrono::milliseconds time);

 private:
  void put(std::function<void(EventSink&)> event, bool is_last = false);

  EventSink& sink_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::function<void(EventSink&)>> events_;
  bool has_ended_ = false;
};

}  // namespace g3n
