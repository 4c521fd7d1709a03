// compare_next_tokens, compare_soft_tokens: two engines over the same input. Both run as jobs of their own schedulers
// and pause in turns, so that neither more than a few rows of logits are kept nor do two models compete for the cores.
#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <deque>
#include <mutex>

#include "g3n/diagnostics.h"
#include "g3n/error.h"
#include "runtime/diagnostics/media_ids.h"
#include "runtime/engine_impl.h"
#include "tokenizer/tokenizer.h"

namespace g3n {
namespace {

enum Side { kReference, kCandidate };
constexpr const char* kSideNames[] = {"reference", "candidate"};

// Rows of logits of both sides on their way to the thread that compares them.
class RowPairs {
 public:
  void put(Side side, View<const float, 2> rows) {
    std::lock_guard lock(mutex_);
    for (int64_t i = 0; i < rows.dim[0]; ++i) rows_[side].emplace_back(rows.row(i), rows.row(i) + rows.dim[1]);
    counts_[side] += rows.dim[0];
    changed_.notify_one();
  }
  // The reference goes first; nobody goes on while its rows wait.
  bool is_paused(Side side) const {
    std::lock_guard lock(mutex_);
    return !rows_[side].empty() || (side == kCandidate && counts_[kCandidate] >= counts_[kReference]);
  }
  // The next position's rows, if both are there within this time.
  bool take(std::chrono::milliseconds time, std::vector<float> (&rows)[2]) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, time, [this] { return !rows_[0].empty() && !rows_[1].empty(); })) return false;
    for (const Side side : {kReference, kCandidate}) {
      rows[side] = std::move(rows_[side].front());
      rows_[side].pop_front();
    }
    return true;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::vector<float>> rows_[2];
  int64_t counts_[2] = {};
};

// Jobs of both sides; none outlives this.
struct Jobs {
  ~Jobs() {
    for (const auto& job : both)
      if (job) job->cancel();
    for (const auto& job : both)
      if (job) job->wait();
  }
  bool have_ended() const {
    return std::all_of(std::begin(both), std::end(both),
                       [](const auto& job) { return job->wait_for(std::chrono::milliseconds(0)); });
  }
  // Throws what ended one of them.
  void check() const {
    for (const auto& job : both)
      if (job->wait_for(std::chrono::milliseconds(0))) job->answer();
  }
  std::shared_ptr<Job> both[2];
};

// Logits of every position of a prompt, of both models. on_pair(position, rows).
template <typename OnPair>
void for_each_pair(Engine* const (&engines)[2], const PreparedPrompt& prompt, const std::atomic<bool>* cancelled,
                   OnPair on_pair) {
  constexpr std::chrono::milliseconds kLook{10};
  RowPairs pairs;
  Jobs jobs;
  const auto shared = std::make_shared<const PreparedPrompt>(prompt);
  for (const Side side : {kReference, kCandidate}) {
    EngineAccess::Impl& core = EngineAccess::of(*engines[side]);
    JobSetup setup;
    setup.plan = [&core, shared] { return core.builder->plan(shared); };
    setup.wants_answer = false;
    setup.logits = WantedLogits{
        .first = 0, .on_rows = [&pairs, side](int64_t, View<const float, 2> rows) { pairs.put(side, rows); }};
    setup.is_paused = [&pairs, side] { return pairs.is_paused(side); };
    jobs.both[side] = core.running().submit(std::move(setup));
  }
  std::vector<float> rows[2];
  for (int64_t position = 0;;) {
    const bool have_ended = jobs.have_ended();
    while (pairs.take(have_ended ? std::chrono::milliseconds(0) : kLook, rows)) on_pair(position++, rows);
    if (have_ended) break;
    jobs.check();
    if (cancelled && cancelled->load(std::memory_order_relaxed)) throw cancelled_error();
    for (const auto& job : jobs.both) job->wake_up();
  }
  jobs.check();
}

double log_sum_exp(std::span<const float> logits) {
  const float top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float v : logits) sum += std::exp(static_cast<double>(v) - top);
  return top + std::log(sum);
}

void expect_finite(std::span<const float> values, Side side, const std::string& what) {
  if (!std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); }))
    throw Error(ErrorCode::kBadFile, std::string("the ") + kSideNames[side] + "'s " + what +
                                         ": expected finite values, found some that are not");
}

// Sums over positions.
struct Sums {
  int64_t positions = 0, predicted = 0, agreements = 0;
  double kl = 0, most = 0;
  double nll[2] = {};  // of the tokens that came

  // next: the token that came, -1 at the end of a window.
  void add(std::span<const float> reference, std::span<const float> candidate, int64_t next) {
    const double r = log_sum_exp(reference), c = log_sum_exp(candidate);
    double divergence = 0;
    for (size_t i = 0; i < reference.size(); ++i) {
      const double lr = reference[i] - r;
      if (lr > -40) divergence += std::exp(lr) * (lr - (candidate[i] - c));
    }
    positions += 1;
    kl += divergence;
    most = std::max(most, divergence);
    agreements += std::max_element(reference.begin(), reference.end()) - reference.begin() ==
                  std::max_element(candidate.begin(), candidate.end()) - candidate.begin();
    if (next < 0) return;
    predicted += 1;
    nll[kReference] += r - reference[static_cast<size_t>(next)];
    nll[kCandidate] += c - candidate[static_cast<size_t>(next)];
  }
};

}  // namespace

TextComparison compare_next_tokens(Engine& reference, Engine& candidate, std::string_view text,
                                   const TextComparisonOptions& options) {
  if (options.window < 2)
    throw Error(ErrorCode::kInvalidArgument,
                "window: expected 2 or more positions, got " + std::to_string(options.window));
  if (reference.info().vocab_size != candidate.info().vocab_size)
    throw Error(ErrorCode::kInvalidArgument,
                "the two models differ in their vocabulary: " + std::to_string(reference.info().vocab_size) + " and " +
                    std::to_string(candidate.info().vocab_size) + " ids");
  const std::vector<int32_t> ids = reference.encode(text);
  const int32_t bos = EngineAccess::of(reference).checkpoint->tokenizer().special().bos;
  int64_t count = static_cast<int64_t>(ids.size());
  if (options.tokens > 0) count = std::min(count, options.tokens);
  if (count < 1) throw Error(ErrorCode::kInvalidArgument, "expected a text of at least one token, found none");

  Sums sums;
  Engine* const engines[2] = {&reference, &candidate};
  for (int64_t begin = 0; begin < count; begin += options.window - 1) {  // <bos> in front of every window
    const int64_t end = std::min(begin + options.window - 1, count);
    PreparedPrompt prompt;
    prompt.ids.push_back(bos);
    prompt.ids.insert(prompt.ids.end(), ids.begin() + begin, ids.begin() + end);
    prompt.token_types.assign(prompt.ids.size(), 0);
    for_each_pair(engines, prompt, options.cancelled, [&](int64_t position, const std::vector<float>(&rows)[2]) {
      for (const Side side : {kReference, kCandidate})
        expect_finite(rows[side], side, "logits at token " + std::to_string(begin + position));
      const size_t next = static_cast<size_t>(position) + 1;
      sums.add(rows[kReference], rows[kCandidate], next < prompt.ids.size() ? prompt.ids[next] : -1);
    });
    if (options.on_progress) options.on_progress(end, count);
  }
  const double n = static_cast<double>(sums.positions), p = static_cast<double>(std::max<int64_t>(sums.predicted, 1));
  return {.positions = sums.positions,
          .kl_mean = sums.kl / n,
          .kl_max = sums.most,
          .same_likeliest = static_cast<double>(sums.agreements) / n,
          .perplexity_reference = std::exp(sums.nll[kReference] / p),
          .perplexity_candidate = std::exp(sums.nll[kCandidate] / p)};
}

double compare_soft_tokens(Engine& reference, Engine& candidate, const MediaPart& medium) {
  std::shared_ptr<const SoftTokens> tokens[2];
  Engine* const engines[2] = {&reference, &candidate};
  for (const Side side : {kReference, kCandidate}) {
    tokens[side] = engines[side]->prepare(ids_of_media(EngineAccess::of(*engines[side]), {medium})).soft.at(0).tokens;
    expect_finite(tokens[side]->values, side, "soft tokens");
  }
  const std::vector<float>&want = tokens[kReference]->values, &got = tokens[kCandidate]->values;
  if (want.size() != got.size())
    throw Error(ErrorCode::kInvalidArgument,
                "the two models differ in their soft tokens: " + std::to_string(want.size()) + " and " +
                    std::to_string(got.size()) + " values");
  double off = 0, size = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    const double difference = static_cast<double>(got[i]) - want[i];
    off += difference * difference;
    size += static_cast<double>(want[i]) * want[i];
  }
  return std::sqrt(off / size);
}

}  // namespace g3n
