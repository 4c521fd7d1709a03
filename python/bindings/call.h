// Call: one request of a Python thread on its way through the engine. Threads of the engine write into it, a Python
// thread waits on it with the GIL released and takes out; no thread of the engine ever touches Python.
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "g3n/engine.h"

namespace g3n::python {

// A stretch of an answer: text of whole characters, and the tokens that came since the stretch before.
struct Fragment {
  std::string text;
  std::vector<std::int32_t> ids;
  std::vector<TokenLogprob> logprobs;
};

class Call : public EventSink {
 public:
  // owner: whose calls are waited for together (an engine); only compared.
  // hooked: a Python thread changes each row of logits (take_row, give_row).
  static std::shared_ptr<Call> submit(const void* owner, Engine& engine, Request request, bool hooked = false);
  // On a thread of the call's own, for what the library has no submit of. What `work` holds is let go before the end.
  static std::shared_ptr<Call> run(const void* owner, std::function<void(Call&)> work);
  ~Call() override;

  // ---- any thread ----
  void cancel();
  bool is_cancelled() const { return cancelled_.load(std::memory_order_relaxed); }
  const std::atomic<bool>* cancelled() const { return &cancelled_; }
  bool has_ended() const;
  // Whether there is something to take, or the call has ended, within this time.
  bool wait_for(std::chrono::milliseconds time) const;
  bool wait_for_end(std::chrono::milliseconds time) const;
  std::optional<Fragment> take();
  // A row that waits for its hook, with the ids so far; empty: none. It is the call's own, which the thread that took
  // it may change until it gives it back; the array stays where it is for all rows of the call.
  std::shared_ptr<std::vector<float>> take_row(std::vector<std::int32_t>& ids);
  void give_row();
  // On the hook's thread: until the row is back. Throws kCancelled.
  void wait_for_hook(std::span<const std::int32_t> ids, std::span<float> row);
  // After the end: throws the call's error.
  const Answer& answer() const;
  // Readable whenever wait_for would return at once; for event loops. The call's own: not to be closed.
  int event_fd();

  // ---- by the work of run ----
  void set_answer(Answer answer);
  void set_progress(std::int64_t done, std::int64_t total);
  std::pair<std::int64_t, std::int64_t> progress() const;

  void on_token(std::int32_t id) override;
  void on_logprobs(const TokenLogprob& token) override;
  void on_text(std::string_view text) override;
  void on_prefill(std::int64_t done, std::int64_t total) override { set_progress(done, total); }
  void on_finish(const Answer& answer) override;
  void on_error(const Error& error) override;

 private:
  explicit Call(const void* owner) : owner_(owner) {}
  void end(std::optional<Error> error);
  void tell();                 // under mutex_
  bool has_something() const;  // under mutex_
  void hush();                 // under mutex_: nothing is left to be taken

  friend class Process;
  const void* const owner_;
  bool has_thread_ = false;  // made by run: the thread says when it is over
  std::atomic<bool> cancelled_{false};
  Ticket ticket_;

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::vector<Fragment> fragments_;
  Fragment open_;  // tokens that no text has come for yet
  Answer answer_;
  std::optional<Error> error_;
  bool ended_ = false;
  std::int64_t done_ = 0, total_ = 0;
  enum class RowState { kNone, kWaits, kIsTaken, kIsBack } row_state_ = RowState::kNone;
  std::shared_ptr<std::vector<float>> row_;
  std::vector<std::int32_t> row_ids_;
  int event_fd_ = -1;
};

}  // namespace g3n::python
