// The scheduler's caches: from where a prompt goes on, what is kept for others, who pauses when there is no room.
#include <algorithm>

#include "runtime/scheduler.h"

namespace g3n {
namespace {

// Where a long prompt can be gone on from, besides what its plan says.
constexpr int64_t kKeepEvery = 2048;
// Positions that are worth a copy of their own, and that are worth waiting for while another computes them.
constexpr int64_t kWorthKeeping = 64, kWorthWaiting = 64;

}  // namespace

// In the order in which they got their places: what lacks room lets nobody pass.
void Scheduler::start_ready() {
  const Jobs running = running_;
  for (const auto& job : running) {
    if (!job->prompt_ || (job->sequence_ && job->sequence_->cache())) continue;
    if (waits_for_another(*job)) continue;
    const std::optional<PrefixCache::Hit> hit = make_room_for(*job);
    if (!hit) return;
    start(job, *hit);
  }
}

void Scheduler::start(const std::shared_ptr<Job>& shared, const PrefixCache::Hit& hit) {
  Job& job = *shared;
  try {
    const JobSetup& setup = job.setup_;
    std::unique_ptr<SequenceCache> cache =
        hit.length > 0 ? hit.cache->fork(hit.length) : model_.make_cache(options_.context);
    if (job.sequence_) {
      job.sequence_->resume(std::move(cache));
      return;
    }
    std::unique_ptr<AnswerMaker> answer;
    if (setup.wants_answer)
      answer = std::make_unique<AnswerMaker>(setup.options, setup.stop_ids, options_.tokenizer, model_.choosable_ids(),
                                             model_.vocab_size(), setup.sink.get());
    if (answer) answer->use_hook(job.hook_);
    job.sequence_ =
        std::make_unique<Sequence>(job.prompt_, std::move(cache), std::move(answer), setup.logits, setup.sink.get());
    if (!setup.shares_prefix) return;
    note_lookup(hit.length > 0);
    if (options_.idle_kv_bytes == 0) return;
    std::vector<int64_t> ends = job.keep_at_;
    ends.push_back(hit.common);
    const int64_t tokens = job.sequence_->prompt_tokens();
    for (int64_t at = kKeepEvery; at < tokens; at += kKeepEvery) ends.push_back(at);
    ends.push_back(tokens);
    for (const int64_t at : ends)
      if (at >= kWorthKeeping) job.sequence_->keep_at(at);
  } catch (...) {
    end(shared, std::current_exception());
  }
}

// Whether a request before it is about to compute what it needs, too: from there it goes on.
bool Scheduler::waits_for_another(Job& job) {
  if (!job.setup_.shares_prefix) return false;
  const auto is_ahead = [](const Job& other, int64_t until) {
    return other.sequence_ && other.sequence_->cache() && other.sequence_->position() < until && !other.is_paused();
  };
  const auto known = job.ahead_.lock();
  if (known && is_ahead(*known, job.until_)) return true;
  job.ahead_.reset();
  int64_t most = find_prefix(job).length + kWorthWaiting;
  std::shared_ptr<Job> ahead;
  for (const auto& other : running_) {
    if (!can_share(*other, job)) continue;
    const int64_t common = std::min(common_prefix(other->tokens(), job.tokens()), job.most_shared());
    if (common >= most && is_ahead(*other, common)) ahead = other, most = common;
  }
  if (!ahead) return false;
  ahead->sequence_->keep_at(most);
  job.ahead_ = ahead, job.until_ = most;
  return true;
}

// Whether `other` runs, and job may go on from what it computed.
bool Scheduler::can_share(const Job& other, const Job& job) const {
  return &other != &job && other.sequence_ && other.sequence_->cache() && other.setup_.shares_prefix &&
         job.setup_.shares_prefix && other.setup_.cache_salt == job.setup_.cache_salt;
}

// The longest beginning that was computed before, by one that ended or one that runs.
PrefixCache::Hit Scheduler::find_prefix(const Job& job) {
  PrefixCache::Hit best;
  if (job.setup_.shares_prefix) best = prefixes_.find(job.tokens(), job.setup_.cache_salt, job.most_shared());
  if (const SequenceCache* base = job.setup_.base.get(); base && base->length() > best.length)
    best = {base, base->length(), base->length()};
  for (const auto& other : running_) {
    if (!can_share(*other, job)) continue;
    const SequenceCache& cache = *other->sequence_->cache();
    const int64_t common = std::min({common_prefix(other->tokens(), job.tokens()), cache.length(), job.most_shared()});
    best.common = std::max(best.common, common);
    if (common > best.length && is_worth_going_on(cache, common)) best.cache = &cache, best.length = common;
  }
  return best;
}

void Scheduler::note_lookup(bool is_hit) {
  std::lock_guard lock(mutex_);
  ++counts_.prefix_lookups;
  counts_.prefix_hits += is_hit;
}

// What ended, and what a step would lose, for prompts that begin alike. What there is no memory for is computed again,
// should anybody ask.
void Scheduler::keep(const Job& job, const std::function<std::unique_ptr<SequenceCache>()>& take) noexcept {
  if (options_.idle_kv_bytes == 0 || !job.setup_.shares_prefix) return;
  try {
    if (std::unique_ptr<SequenceCache> cache = take())
      prefixes_.keep(job.tokens(), job.setup_.cache_salt, std::move(cache));
  } catch (...) {
  }
  while (model_.cache_use().bytes - running_bytes() > options_.idle_kv_bytes && prefixes_.drop_oldest()) {
  }
  note_idle();
}

void Scheduler::note_idle() {
  const int64_t idle = std::max<int64_t>(0, model_.cache_use().bytes - running_bytes());
  std::lock_guard lock(mutex_);
  counts_.idle_cache_bytes = idle;
  counts_.prefix_evictions = prefixes_.evictions();
}

void Scheduler::keep_what_is_lost(const std::vector<Turn>& turns) {
  for (const Turn& turn : turns) {
    Sequence& sequence = *turn.job->sequence_;
    for (const int64_t at : sequence.lost_by(turn.rows)) keep(*turn.job, [&] { return sequence.cache()->fork(at); });
  }
}

int64_t Scheduler::running_bytes() const {
  int64_t bytes = 0;
  for (const auto& job : running_)
    if (job->sequence_ && job->sequence_->cache()) bytes += job->sequence_->cache()->bytes();
  return bytes;
}

// For one that is to start, and a little more: who starts is not to pause in the next step. One that has paused waits
// until somebody has ended. What ended goes as far as it is not what this one goes on from: that is returned, null if
// there is no room.
std::optional<PrefixCache::Hit> Scheduler::make_room_for(const Job& job) {
  if (options_.kv_bytes == 0) return find_prefix(job);
  const auto running = std::count_if(running_.begin(), running_.end(),
                                     [](const auto& one) { return one->sequence_ && one->sequence_->cache(); });
  if (running == 0) return find_prefix(job);
  if (job.sequence_ && job.paused_at_end_ == ends_) return {};
  const int64_t tokens = static_cast<int64_t>(job.tokens().ids.size());
  for (;;) {
    const PrefixCache::Hit hit = find_prefix(job);
    const int64_t needed =
        running * model_.cache_bytes(1) + model_.cache_bytes(tokens + 1) - model_.cache_bytes(hit.length);
    if (model_.cache_use().bytes + needed <= options_.kv_bytes) return hit;
    if (!prefixes_.drop_oldest(hit.cache)) return {};
  }
}

// For the rows of a step: what ended goes first, then the youngest pauses, one that takes part in no step before
// others.
void Scheduler::make_room(std::vector<Turn>& turns) {
  while (options_.kv_bytes > 0) {
    int64_t bytes = model_.cache_use().bytes;
    for (const Turn& turn : turns) bytes += turn.job->sequence_->cache()->bytes_to_append(turn.rows);
    if (bytes <= options_.kv_bytes) return;
    if (prefixes_.drop_oldest()) continue;
    Jobs holders;
    for (const auto& job : running_)
      if (job->sequence_ && job->sequence_->cache()) holders.push_back(job);
    if (holders.size() < 2) return;
    const auto youngest = std::max_element(holders.begin(), holders.end(), [](const auto& a, const auto& b) {
      return std::pair(a->is_paused(), a->number_) < std::pair(b->is_paused(), b->number_);
    });
    std::erase_if(turns, [&](const Turn& turn) { return turn.job == *youngest; });
    pause(**youngest);
  }
}

// Until there is room again; what it computed stays as long as it can.
void Scheduler::pause(Job& job) {
  job.paused_at_end_ = ends_;
  std::unique_ptr<SequenceCache> cache = job.sequence_->take_cache();
  keep(job, [&] { return std::move(cache); });
  std::lock_guard lock(mutex_);
  ++counts_.pauses;
}

}  // namespace g3n
