#include "runtime/scheduler.h"

#include <algorithm>
#include <bit>
#include <string>

#include "g3n/error.h"

namespace g3n {
namespace {

double seconds_between(Job::Clock::time_point from, Job::Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

// Of the names of its taps; only several media of a kind must be told apart.
std::string tap_prefix(const PendingMedium& medium) {
  if (medium.count < 2) return "";
  return (medium.kind == MediaKind::kImage ? "image." : "clip.") + std::to_string(medium.index) + ".";
}

}  // namespace

Scheduler::Scheduler(LanguageModel& model, SchedulerOptions options)
    : model_(model), options_(std::move(options)), budget_(options_.chunk, options_.max_step_seconds) {
  try {
    for (int i = 0; i < std::max(options_.workers, 1); ++i) workers_.emplace_back([this] { work(); });
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error& error) {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
    }
    work_came_.notify_all();
    for (std::thread& worker : workers_) worker.join();
    throw Error(ErrorCode::kOutOfMemory, std::string("cannot start the engine's threads: ") + error.what() +
                                             " (a limit on processes: ulimit -u, or a container's)");
  }
}

Scheduler::~Scheduler() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  work_came_.notify_all();
  wake_up_->notify();
  for (std::thread& worker : workers_) worker.join();
  thread_.join();
  const auto all = [](const auto&) { return true; };
  for (auto* waiting : {&planned_, &unplanned_})
    for (const auto& job : waiting->take_if(all)) job->end(std::make_exception_ptr(cancelled_error()));
}

std::shared_ptr<Job> Scheduler::submit(JobSetup setup) {
  auto job = std::make_shared<Job>(std::move(setup), wake_up_);
  {
    std::lock_guard lock(mutex_);
    job->number_ = next_number_++;
    unplanned_.push(job->setup_.client, job->number_, job);
  }
  work_came_.notify_one();
  return job;
}

Stats Scheduler::stats() const {
  const CacheUse use = model_.cache_use();
  std::lock_guard lock(mutex_);
  Stats stats = counts_;
  stats.waiting = (unplanned_.size() + planned_.size() + std::ssize(being_planned_));
  stats.cache_bytes = use.bytes;
  stats.cache_pages = use.pages;
  stats.cache_limit_bytes = options_.kv_bytes;
  if (options_.media_cache) {
    const MediaCache::Use media = options_.media_cache->use();
    stats.media_cache_bytes = media.bytes, stats.media_lookups = media.lookups, stats.media_hits = media.hits;
  }
  return stats;
}

// ---- workers --------------------------------------------------------------------------------------------------------

void Scheduler::work() {
  for (;;) {
    std::shared_ptr<Job> job;
    {
      std::unique_lock lock(mutex_);
      work_came_.wait(lock, [this] { return stop_ || !unplanned_.empty(); });
      if (stop_) return;
      job = unplanned_.pop();
      being_planned_.push_back(job);
    }
    std::exception_ptr problem;
    const auto start = Job::Clock::now();
    try {
      if (job->is_cancelled()) throw cancelled_error();
      job->plan_ = job->setup_.plan();
    } catch (...) {
      problem = std::current_exception();
    }
    job->plan_seconds_ = seconds_between(start, Job::Clock::now());
    if (!problem) tell_queued(*job);
    {
      std::lock_guard lock(mutex_);
      std::erase(being_planned_, job);
      if (!problem) planned_.push(job->setup_.client, job->number_, job);
    }
    if (problem) job->end(problem);
    wake_up_->notify();
  }
}

// Before the scheduler sees the job: all later events come from there.
void Scheduler::tell_queued(const Job& job) const {
  if (!job.setup_.sink) return;
  int64_t ahead = 0;
  {
    std::lock_guard lock(mutex_);
    ahead = planned_.ahead_of(job.setup_.client, job.number_);
  }
  job.setup_.sink->on_queue(ahead);
}

// ---- the scheduler's thread -----------------------------------------------------------------------------------------

void Scheduler::run() {
  std::uint64_t seen = 0;
  for (;;) {
    {
      std::lock_guard lock(wake_up_->mutex);
      seen = wake_up_->count;
    }
    drop_cancelled();
    admit();  // behind it: into the places that became free
    {
      std::lock_guard lock(mutex_);
      if (stop_) break;
    }
    tell_media_done();
    start_ready();
    const auto media = std::find_if(running_.begin(), running_.end(),
                                    [](const auto& job) { return job->next_medium_ < job->plan_.media.size(); });
    if (media != running_.end()) {
      encode_next(*media);
      continue;
    }
    if (step_all()) continue;
    std::unique_lock lock(wake_up_->mutex);
    wake_up_->changed.wait(lock, [&] { return wake_up_->count != seen; });
  }
  const Jobs running = running_;
  for (const auto& job : running) end(job, std::make_exception_ptr(cancelled_error()));
}

// From the queue into the places that are free: clients by turns, each one's jobs in the order of submit.
void Scheduler::admit() {
  for (;;) {
    std::shared_ptr<Job> job;
    {
      std::lock_guard lock(mutex_);
      if (planned_.empty() || static_cast<int64_t>(running_.size()) >= options_.max_sequences) return;
      job = planned_.pop();
      ++counts_.running;
    }
    running_.push_back(job);
    job->queue_seconds_ = seconds_between(job->submitted_, Job::Clock::now()) - job->plan_seconds_;
    if (!job->is_cancelled() && job->plan_.media.empty()) take_plan(job);
  }
}

void Scheduler::drop_cancelled() {
  Jobs waiting;
  {
    std::lock_guard lock(mutex_);
    const auto cancelled = [](const auto& job) { return job->is_cancelled(); };
    waiting = planned_.take_if(cancelled);
    std::ranges::move(unplanned_.take_if(cancelled), std::back_inserter(waiting));
  }
  for (const auto& job : waiting) job->end(std::make_exception_ptr(cancelled_error()));
  const Jobs running = running_;
  for (const auto& job : running)
    if (job->is_cancelled() && job.get() != encoding_) end_cancelled(job);
}

void Scheduler::check_cancelled(const Job* only) const {
  if (only && only->is_cancelled()) throw cancelled_error();
  std::lock_guard lock(mutex_);
  if (stop_) throw cancelled_error();
}

// When the last medium of all prompts that came is encoded.
void Scheduler::tell_media_done() {
  if (!media_done_ || !options_.after_media) return;
  const auto has_media = [](const auto& job) { return !job->plan_.media.empty(); };
  if (std::any_of(running_.begin(), running_.end(), has_media)) return;
  {
    std::lock_guard lock(mutex_);
    if (!being_planned_.empty() || planned_.any_of(has_media)) return;
  }
  media_done_ = false;
  options_.after_media();
}

// One medium to soft tokens. Between its blocks the others get their steps.
void Scheduler::encode_next(std::shared_ptr<Job> shared) {
  Job& job = *shared;
  const auto start = Job::Clock::now();
  double others = 0;  // seconds of their steps
  try {
    PendingMedium& medium = job.plan_.media[job.next_medium_];
    if (job.setup_.taps) job.setup_.taps->set_prefix(tap_prefix(medium));
    encoding_ = &job;
    media_done_ = true;
    const auto tell = [&] {
      if (job.setup_.sink)
        job.setup_.sink->on_media(static_cast<int64_t>(job.next_medium_), static_cast<int64_t>(job.plan_.media.size()));
    };
    if (job.next_medium_ == 0) tell();
    const std::function<void()> between = [&] {
      drop_cancelled();
      admit();
      start_ready();
      check_cancelled(&job);
      const auto before = Job::Clock::now();
      step_all();
      others += seconds_between(before, Job::Clock::now());
    };
    // Another request with the same medium may have been here since it was planned.
    std::shared_ptr<const SoftTokens> tokens;
    const bool is_cached = options_.media_cache && medium.side_id < 0 && !job.setup_.taps;
    if (is_cached) tokens = options_.media_cache->find(medium.input.content, /*counts=*/false);
    if (!tokens) {
      SoftTokens out{medium.rows, std::vector<float>(static_cast<size_t>(medium.rows * model_.hidden_size()))};
      if (medium.side_id >= 0)
        model_.embed_side_id(medium.side_id, {out.values.data(), {model_.hidden_size()}});
      else
        model_.encode(medium.input.view(), {out.values.data(), {out.rows, model_.hidden_size()}},
                      {.taps = job.setup_.taps, .between = &between});
      if (options_.after_step) options_.after_step();
      tokens = std::make_shared<const SoftTokens>(std::move(out));
      if (is_cached) options_.media_cache->keep(medium.input.content, tokens);
    }
    encoding_ = nullptr;
    if (job.setup_.taps) job.setup_.taps->set_prefix("");
    for (const size_t span : medium.spans) job.plan_.prompt.soft[span].tokens = tokens;
    medium.input = {};
    job.encode_seconds_ += seconds_between(start, Job::Clock::now()) - others;
    ++job.next_medium_;
    tell();
    if (job.next_medium_ < job.plan_.media.size()) return;
    take_plan(shared);
  } catch (...) {
    encoding_ = nullptr;
    end(shared, std::current_exception());
  }
}

// The prompt is complete.
void Scheduler::take_plan(const std::shared_ptr<Job>& shared) {
  Job& job = *shared;
  job.plan_.prompt.encode_seconds = job.encode_seconds_ + (job.plan_.media.empty() ? 0.0 : job.plan_seconds_);
  job.keep_at_ = std::move(job.plan_.keep_at);
  job.prompt_ = std::make_shared<const PreparedPrompt>(std::move(job.plan_.prompt));
  job.plan_ = {};
  job.next_medium_ = 0;
  if (job.setup_.wants_prompt_only) end(shared, nullptr);
}

// ---- steps ----------------------------------------------------------------------------------------------------------

bool Scheduler::is_alone() const {
  std::lock_guard lock(mutex_);
  return running_.size() == 1 && planned_.empty() && being_planned_.empty() && unplanned_.empty();
}

bool Scheduler::take_from_hooks() {
  bool any = false;
  const Jobs running = running_;
  for (const auto& job : running) {
    if (!job->sequence_ || !job->sequence_->is_hook_done()) continue;
    any = true;
    try {
      job->sequence_->go_on();
      end_if_done(job);
    } catch (const Error& error) {
      if (error.code() == ErrorCode::kCancelled)
        end_cancelled(job);
      else
        end(job, std::current_exception());
    } catch (...) {
      end(job, std::current_exception());
    }
  }
  return any;
}

// A step with taps holds one sequence; all others share a step.
bool Scheduler::step_all() {
  bool stepped = take_from_hooks();  // one that ended may have made room for others
  Jobs shared;
  std::vector<Jobs> alone;
  for (const auto& job : running_) {
    if (!job->sequence_ || !job->sequence_->cache() || job->sequence_->is_with_hook() || job->is_paused()) continue;
    if (job->setup_.taps)
      alone.push_back({job});
    else
      shared.push_back(job);
  }
  stepped |= step(shared);
  for (const Jobs& jobs : alone) stepped |= step(jobs);
  return stepped;
}

// Who takes part, and with how many rows.
std::vector<Scheduler::Turn> Scheduler::share_out(const Jobs& jobs) const {
  std::vector<int64_t> left;
  for (const auto& job : jobs)
    if (job->sequence_->prompt_rows() > 0)
      left.push_back(std::min(job->sequence_->prompt_rows(), job->sequence_->most_rows()));
  const bool has_taps = jobs.size() == 1 && jobs[0]->setup_.taps;
  const std::vector<int64_t> shares = left.empty() ? left : share_rows(left, budget_.rows(has_taps || is_alone()));
  std::vector<Turn> turns;
  size_t prompts = 0;
  for (const auto& job : jobs) {
    Turn turn{.job = job, .is_prompt = job->sequence_->prompt_rows() > 0};
    if (turn.is_prompt) turn.rows = shares[prompts++];
    if (turn.rows > 0) turns.push_back(std::move(turn));
  }
  return turns;
}

bool Scheduler::step(const Jobs& jobs) {
  std::vector<Turn> turns = share_out(jobs);
  const bool any = !turns.empty();
  make_room(turns);
  keep_what_is_lost(turns);
  while (!turns.empty()) {
    const auto start = Job::Clock::now();
    try {
      forward(turns);
    } catch (...) {
      // The youngest gets the error; the others have their step again without it.
      const std::exception_ptr problem = std::current_exception();
      const auto youngest = std::max_element(
          turns.begin(), turns.end(), [](const Turn& a, const Turn& b) { return a.job->number_ < b.job->number_; });
      const std::shared_ptr<Job> job = youngest->job;
      turns.erase(youngest);
      if (job->is_cancelled())
        end_cancelled(job);
      else
        end(job, problem);
      continue;
    }
    take(turns);
    int64_t prompt_rows = 0, decode_rows = 0;
    for (const Turn& turn : turns) (turn.is_prompt ? prompt_rows : decode_rows) += turn.rows;
    budget_.note(decode_rows, prompt_rows, seconds_between(start, Job::Clock::now()));
    std::lock_guard lock(mutex_);
    ++counts_.steps;
    counts_.rows += prompt_rows + decode_rows;
    const auto power = static_cast<size_t>(std::bit_width(static_cast<uint64_t>(prompt_rows + decode_rows - 1)));
    ++counts_.step_rows[std::min(power, counts_.step_rows.size() - 1)];
    break;
  }
  return any;
}

void Scheduler::forward(std::vector<Turn>& turns) {
  rows_.clear();
  const auto start = Job::Clock::now();
  for (Turn& turn : turns) {
    if (turn.job->first_step_ == Job::Clock::time_point{}) turn.job->first_step_ = start;
    turn.first_wanted = rows_.wanted;
    turn.job->sequence_->want(rows_, turn.rows);
  }
  logits_.resize(static_cast<size_t>(rows_.wanted * model_.vocab_size()));
  const Job* only = turns.size() == 1 ? turns[0].job.get() : nullptr;  // a flag of one must not end the step of others
  const std::function<void()> between = [&] { check_cancelled(only); };
  between();
  model_.forward(rows_.batch(), {logits_.data(), {rows_.wanted, model_.vocab_size()}},
                 {.taps = only ? only->setup_.taps : nullptr, .between = &between});
  if (options_.after_step) options_.after_step();
}

void Scheduler::take(const std::vector<Turn>& turns) {
  const int64_t vocab = model_.vocab_size();
  const auto logits_of = [&](const Turn& turn) {
    return View<const float, 2>{logits_.data() + turn.first_wanted * vocab, {turn.job->sequence_->wanted(), vocab}};
  };
  const auto now = Job::Clock::now();
  model_.parallel(rows_.wanted, [&](int64_t begin, int64_t end) {
    auto turn = turns.begin();
    for (int64_t i = begin; i < end; ++i) {
      while (i >= turn->first_wanted + turn->job->sequence_->wanted()) ++turn;
      turn->job->sequence_->choose(i - turn->first_wanted, {logits_.data() + i * vocab, static_cast<size_t>(vocab)});
    }
  });
  for (const Turn& turn : turns) {
    Job& job = *turn.job;
    try {
      job.sequence_->accept(logits_of(turn));
      if (turn.is_prompt && job.sequence_->prompt_rows() == 0) job.decode_start_ = now;
      end_if_done(turn.job);
    } catch (...) {
      end(turn.job, std::current_exception());
    }
  }
}

void Scheduler::end_if_done(const std::shared_ptr<Job>& job) {
  if (!job->sequence_->done()) return;
  job->answer_ = job->sequence_->finish(FinishReason::kLength);
  end(job, nullptr);
}

void Scheduler::end_cancelled(const std::shared_ptr<Job>& job) {
  if (!job->sequence_ || !job->sequence_->has_begun()) return end(job, std::make_exception_ptr(cancelled_error()));
  job->answer_ = job->sequence_->finish(FinishReason::kCancelled);
  end(job, nullptr);
}

void Scheduler::end(const std::shared_ptr<Job>& job, std::exception_ptr problem) {
  const auto now = Job::Clock::now();
  Timings& timings = job->answer_.timings;
  timings.queue_seconds = job->queue_seconds_;
  if (job->prompt_) timings.encode_seconds = job->prompt_->encode_seconds;
  if (job->decode_start_ != Job::Clock::time_point{}) {
    timings.prefill_seconds = seconds_between(job->first_step_, job->decode_start_);
    timings.decode_seconds = seconds_between(job->decode_start_, now);
  }
  std::erase(running_, job);
  ++ends_;
  if (job->sequence_) {
    std::unique_ptr<SequenceCache> cache = job->sequence_->take_cache();
    if (!problem && job->setup_.keeps_cache)
      job->cache_ = std::move(cache);
    else if (!problem || job->is_cancelled())
      keep(*job, [&] { return std::move(cache); });
  }
  note_idle();
  {
    std::lock_guard lock(mutex_);
    --counts_.running;
  }
  job->end(std::move(problem));
}

}  // namespace g3n
