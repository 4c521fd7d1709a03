// Scheduler: one thread steps the model for all requests. Workers turn requests into tokens and decoded media; the
// scheduler then encodes the media, and gives every sequence its rows: the decoding ones a row each, the prompts what
// is left of the step (server.md 13). One sequence's cancel, end or error never takes another's rows.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "core/fair_queue.h"
#include "runtime/job.h"
#include "runtime/media_cache.h"
#include "runtime/prefix_cache.h"
#include "runtime/step_budget.h"
#include "seam/language_model.h"
#include "tokenizer/tokenizer.h"

namespace g3n {

struct SchedulerOptions {
  const Tokenizer* tokenizer = nullptr;  // null: answers have ids and no text
  int64_t context = 0;                   // positions of a new cache
  int64_t chunk = 512;
  int64_t max_sequences = 16;
  double max_step_seconds = 0.15;
  int workers = 2;
  // Memory of all K and V: what ended is dropped first, then the youngest request pauses. 0: as much as they take. One
  // request alone gets what it needs, whatever this says.
  int64_t kv_bytes = 0;
  int64_t idle_kv_bytes = 0;                // of what ended, kept for prompts that begin alike; 0: nothing
  std::shared_ptr<MediaCache> media_cache;  // null: none
  std::function<void()> after_media;        // on the scheduler's thread, when all media that came are encoded
  std::function<void()> after_step;         // of each step and each medium; may throw: it then counts as failed
};

class Scheduler {
 public:
  // The model outlives the scheduler, which alone steps it.
  Scheduler(LanguageModel& model, SchedulerOptions options);
  // Cancels what runs and waits for its end.
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  std::shared_ptr<Job> submit(JobSetup setup);
  Stats stats() const;
  int64_t max_sequences() const { return options_.max_sequences; }

 private:
  using Jobs = std::vector<std::shared_ptr<Job>>;
  // A job's part in a step.
  struct Turn {
    std::shared_ptr<Job> job;
    int64_t rows = 1;
    bool is_prompt = false;
    int64_t first_wanted = 0;  // row of the step's logits
  };

  // ---- workers ----
  void work();
  void tell_queued(const Job& job) const;

  // ---- the scheduler's thread ----
  void run();
  void admit();
  void drop_cancelled();
  bool is_alone() const;
  void tell_media_done();
  void encode_next(std::shared_ptr<Job> job);
  void take_plan(const std::shared_ptr<Job>& job);
  // ---- caches ----
  // Those whose prompt is complete and that have no cache: new ones, and ones that paused.
  void start_ready();
  void start(const std::shared_ptr<Job>& job, const PrefixCache::Hit& hit);
  bool waits_for_another(Job& job);
  bool can_share(const Job& other, const Job& job) const;
  PrefixCache::Hit find_prefix(const Job& job);
  std::optional<PrefixCache::Hit> make_room_for(const Job& job);
  void note_lookup(bool is_hit);
  void keep(const Job& job, const std::function<std::unique_ptr<SequenceCache>()>& take) noexcept;
  void keep_what_is_lost(const std::vector<Turn>& turns);
  void make_room(std::vector<Turn>& turns);
  void pause(Job& job);
  int64_t running_bytes() const;
  void note_idle();
  // Those whose row is back from its hook.
  bool take_from_hooks();
  // A step for everybody who can take part; false: nobody can.
  bool step_all();
  bool step(const Jobs& jobs);
  std::vector<Turn> share_out(const Jobs& jobs) const;
  void forward(std::vector<Turn>& turns);
  void take(const std::vector<Turn>& turns);
  void end_if_done(const std::shared_ptr<Job>& job);
  void check_cancelled(const Job* only) const;
  void end(const std::shared_ptr<Job>& job, std::exception_ptr problem);
  void end_cancelled(const std::shared_ptr<Job>& job);

  LanguageModel& model_;
  const SchedulerOptions options_;
  const std::shared_ptr<WakeUp> wake_up_ = std::make_shared<WakeUp>();
  StepBudget budget_;

  mutable std::mutex mutex_;  // over what follows
  std::condition_variable work_came_;
  FairQueue<std::shared_ptr<Job>> unplanned_, planned_;  // by JobSetup::client and number
  Jobs being_planned_;
  std::uint64_t next_number_ = 0;
  bool stop_ = false;
  Stats counts_;

  // of the scheduler's thread
  Jobs running_;
  PrefixCache prefixes_;
  int64_t ends_ = 0;  // requests that ended so far
  const Job* encoding_ = nullptr;
  bool media_done_ = false;  // something was encoded, and after_media is not yet called
  StepRows rows_;
  std::vector<float> logits_;  // [wanted rows of the step, vocab]

  std::vector<std::thread> workers_;
  std::thread thread_;
};

}  // namespace g3n
