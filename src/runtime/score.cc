// Engine::score: the prompt as one job that keeps its cache, then each continuation as a job over a fork of it. The
// prompt's last row answers for all first tokens.
#include <algorithm>
#include <deque>
#include <string>

#include "runtime/engine_impl.h"

namespace g3n {
namespace {

using Continuations = std::span<const std::vector<std::int32_t>>;

void check(const Engine::Impl& core, int64_t prefix, Continuations continuations) {
  const MediaKinds& kinds = core.checkpoint->kinds();
  const int64_t vocab = core.model->vocab_size();
  for (size_t i = 0; i < continuations.size(); ++i) {
    const auto fail = [&](const std::string& what, ErrorCode code = ErrorCode::kInvalidArgument) {
      throw Error(code, "continuation " + std::to_string(i) + ": " + what);
    };
    const std::vector<std::int32_t>& ids = continuations[i];
    if (ids.empty()) fail("expected at least one token, found none");
    for (const std::int32_t id : ids) {
      if (id < 0 || id >= vocab)
        fail("expected ids of the vocabulary, 0.." + std::to_string(vocab - 1) + ", got " + std::to_string(id));
      if (kinds.of_soft_id(id) || kinds.of_side_id(id))
        fail("expected ids of text, got " + std::to_string(id) + ": media belong into the prompt");
    }
    const int64_t rows = prefix + static_cast<int64_t>(ids.size()) - 1;  // the last id is asked about, not read
    if (rows > core.context)
      fail("the prompt and it have " + std::to_string(rows + 1) + " tokens, the context has room for " +
               std::to_string(core.context),
           ErrorCode::kContextFull);
  }
}

JobSetup setup_of(std::shared_ptr<const PreparedPrompt> prompt, std::shared_ptr<PromptScores> scores, int64_t first) {
  JobSetup setup;
  setup.plan = [prompt = std::move(prompt)] { return PromptPlan{.prompt = *prompt, .media = {}}; };
  setup.wants_answer = false;
  setup.logits = WantedLogits{.first = first, .scores = std::move(scores)};
  return setup;
}

// Jobs in flight, in the order of submit; none outlives this.
class Flight {
 public:
  Flight(Engine::Impl& core, const std::atomic<bool>* cancelled) : core_(core), cancelled_(cancelled) {}
  ~Flight() {
    for (const auto& job : jobs_) job->cancel();
    for (const auto& job : jobs_) job->wait();
  }
  void start(JobSetup setup) { jobs_.push_back(core_.running().submit(std::move(setup))); }
  size_t size() const { return jobs_.size(); }
  // The oldest, which has ended well.
  std::shared_ptr<Job> land() {
    if (cancelled_ && cancelled_->load(std::memory_order_relaxed)) throw cancelled_error();
    core_.wait(*jobs_.front(), cancelled_);
    jobs_.front()->answer();
    const std::shared_ptr<Job> job = jobs_.front();
    jobs_.pop_front();
    return job;
  }

 private:
  Engine::Impl& core_;
  const std::atomic<bool>* cancelled_;
  std::deque<std::shared_ptr<Job>> jobs_;
};

double total_of(const std::vector<TokenLogprob>& tokens) {
  double total = 0;
  for (const TokenLogprob& token : tokens) total += static_cast<double>(token.logprob);
  return total;
}

}  // namespace

std::vector<Score> Engine::score(const PreparedPrompt& prefix, Continuations continuations, int top,
                                 const std::atomic<bool>* cancelled) {
  if (top < 0 || top > 20)
    throw Error(ErrorCode::kInvalidArgument, "top: expected an integer in 0..20, got " + std::to_string(top));
  Scheduler& scheduler = impl_->running();
  const int64_t tokens = static_cast<int64_t>(prefix.ids.size());
  expect_room(tokens, impl_->context);
  check(*impl_, tokens, continuations);
  std::vector<Score> out(continuations.size());
  if (out.empty()) return out;

  const auto prompt = std::make_shared<const PreparedPrompt>(prefix);
  std::vector<std::int32_t> firsts;
  for (const std::vector<std::int32_t>& ids : continuations) firsts.push_back(ids[0]);
  Flight flight(*impl_, cancelled);
  JobSetup setup = setup_of(prompt, std::make_shared<PromptScores>(tokens - 1, top, firsts), tokens - 1);
  setup.keeps_cache = true;
  flight.start(std::move(setup));
  const std::shared_ptr<Job> base = flight.land();
  for (size_t i = 0; i < out.size(); ++i) out[i].tokens.push_back(base->answer().prompt_logprobs[i]);
  const std::shared_ptr<const SequenceCache> cache = base->take_cache();

  const auto land = [&](size_t i) {
    const std::shared_ptr<Job> job = flight.land();
    const std::vector<TokenLogprob>& rest = job->answer().prompt_logprobs;
    out[i].tokens.insert(out[i].tokens.end(), rest.begin(), rest.end());
  };
  std::deque<size_t> flying;
  const size_t most = static_cast<size_t>(std::max<int64_t>(scheduler.max_sequences() / 2, 1));  // others have places
  for (size_t i = 0; i < out.size(); ++i) {
    const std::vector<std::int32_t>& ids = continuations[i];
    if (ids.size() == 1) continue;
    if (flying.size() == most) {
      land(flying.front());
      flying.pop_front();
    }
    PreparedPrompt whole = prefix;
    whole.ids.insert(whole.ids.end(), ids.begin(), ids.end() - 1);
    whole.token_types.resize(whole.ids.size());
    JobSetup next = setup_of(std::make_shared<const PreparedPrompt>(std::move(whole)),
                             std::make_shared<PromptScores>(tokens, top, std::vector{ids.back()}), tokens);
    next.base = cache;
    next.shares_prefix = false;
    flight.start(std::move(next));
    flying.push_back(i);
  }
  for (; !flying.empty(); flying.pop_front()) land(flying.front());
  for (Score& score : out) score.total = total_of(score.tokens);
  return out;
}

}  // namespace g3n
