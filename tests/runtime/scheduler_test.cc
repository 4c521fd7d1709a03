// The scheduler over a scripted model: ends, events, sharing of steps, cancelling, failures, many at once.
#include "runtime/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <thread>

#include "support/fake_model.h"

namespace g3n::testing {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Ids = std::vector<std::int32_t>;
using Ids64 = std::vector<std::int64_t>;

const Ids kDigits = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};  // position p is followed by id p % 10

struct Sink : EventSink {
  void on_prefill(std::int64_t done, std::int64_t total) override { prefill.emplace_back(done, total); }
  void on_token(std::int32_t id) override {
    ids.push_back(id);
    if (on_id) on_id();
  }
  void on_finish(const Answer&) override { ++ends; }
  void on_error(const Error&) override { ++ends; }
  std::vector<std::pair<std::int64_t, std::int64_t>> prefill;
  Ids ids;
  int ends = 0;
  std::function<void()> on_id;
};

struct Ask {
  std::int64_t prompt_tokens = 5;
  std::int32_t first_id = 1;
  AnswerOptions options = {.sampling = {.temperature = 0}};
  Ids stop_ids = {9};
  std::shared_ptr<EventSink> sink = nullptr;
};

JobSetup setup_of(const Ask& ask) {
  JobSetup setup;
  setup.options = ask.options;
  setup.stop_ids = ask.stop_ids;
  setup.sink = ask.sink;
  setup.plan = [ask] {
    PromptPlan plan;
    plan.prompt.ids.assign(static_cast<size_t>(ask.prompt_tokens), ask.first_id);
    return plan;
  };
  return setup;
}

AnswerOptions greedily(std::int64_t max_tokens = -1) {
  return {.sampling = {.temperature = 0}, .max_tokens = max_tokens};
}

// A scheduler over a fake model.
struct House {
  explicit House(FakeModelOptions model_options = {.script = kDigits}, SchedulerOptions options = {})
      : model(std::move(model_options)) {
    if (options.context == 0) options.context = 100;
    scheduler = std::make_unique<Scheduler>(model, options);
  }
  Answer answer(const Ask& ask) { return scheduler->submit(setup_of(ask))->answer(); }

  FakeModel model;
  std::unique_ptr<Scheduler> scheduler;
};

TEST(Scheduler, StopsAtAStopId) {
  House house;
  const Answer a = house.answer({});
  EXPECT_EQ(a.ids, (Ids{5, 6, 7, 8, 9}));
  EXPECT_EQ(a.finish_reason, FinishReason::kStop);
  EXPECT_EQ(a.prompt_tokens, 5);
  EXPECT_EQ(a.timings.prefilled_tokens, 5);
}

TEST(Scheduler, StopsAtTheLength) {
  House house;
  EXPECT_EQ(house.answer({.options = greedily(2)}).ids, (Ids{5, 6}));
  EXPECT_EQ(house.answer({.options = greedily(2)}).finish_reason, FinishReason::kLength);
  EXPECT_EQ(house.answer({.options = greedily(5)}).finish_reason, FinishReason::kStop);
  EXPECT_TRUE(house.answer({.options = greedily(0)}).ids.empty());
}

TEST(Scheduler, StopsWhenTheContextIsFull) {
  House house({.script = kDigits}, {.context = 7});
  const Answer a = house.answer({.stop_ids = {15}});
  EXPECT_EQ(a.ids, (Ids{5, 6, 7}));  // the last one is chosen but has no place
  EXPECT_EQ(a.finish_reason, FinishReason::kLength);
}

TEST(Scheduler, APromptLongerThanTheContextNamesBothNumbers) {
  House house({.script = kDigits}, {.context = 7});
  try {
    house.answer({.prompt_tokens = 8});
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kContextFull);
    EXPECT_THAT(e.what(), AllOf(HasSubstr("8 tokens"), HasSubstr("room for 7")));
  }
}

TEST(Scheduler, PrefillComesInChunksAndEveryRequestHasOneEnd) {
  House house({.script = kDigits}, {.chunk = 2});
  const auto sink = std::make_shared<Sink>();
  EXPECT_EQ(house.answer({.sink = sink}).ids, (Ids{5, 6, 7, 8, 9}));
  EXPECT_EQ(sink->prefill, (std::vector<std::pair<std::int64_t, std::int64_t>>{{2, 5}, {4, 5}, {5, 5}}));
  EXPECT_EQ(sink->ids, (Ids{5, 6, 7, 8, 9}));
  EXPECT_EQ(sink->ends, 1);
}

TEST(Scheduler, CancelledInTheAnswerKeepsWhatIsThere) {
  House house;
  const auto sink = std::make_shared<Sink>();
  std::shared_ptr<Job> job;
  std::atomic<bool> has_job{false};
  sink->on_id = [&] {
    while (!has_job) std::this_thread::yield();
    if (sink->ids.size() == 2) job->cancel();
  };
  job = house.scheduler->submit(setup_of({.stop_ids = {15}, .sink = sink}));
  has_job = true;
  EXPECT_EQ(job->answer().ids, (Ids{5, 6}));
  EXPECT_EQ(job->answer().finish_reason, FinishReason::kCancelled);
  EXPECT_EQ(house.model.log()->caches, 0);
}

TEST(Scheduler, APausedRequestTakesPartInNoStepAndHoldsUpNobody) {
  House house;
  const auto sink = std::make_shared<Sink>();
  std::shared_ptr<Job> paused;
  std::atomic<bool> has_job{false};
  sink->on_id = [&] {
    while (!has_job) std::this_thread::yield();
    if (sink->ids.size() == 2) paused->pause();
  };
  paused = house.scheduler->submit(setup_of({.sink = sink}));
  has_job = true;
  EXPECT_EQ(house.answer({}).ids, (Ids{5, 6, 7, 8, 9}));
  EXPECT_FALSE(paused->wait_for(std::chrono::milliseconds(50)));
  EXPECT_EQ(house.scheduler->stats().running, 1);
  const std::int64_t steps = house.scheduler->stats().steps;
  EXPECT_FALSE(paused->wait_for(std::chrono::milliseconds(20)));
  EXPECT_EQ(house.scheduler->stats().steps, steps);
  paused->resume();
  EXPECT_EQ(paused->answer().ids, (Ids{5, 6, 7, 8, 9}));
}

TEST(Scheduler, APausedRequestCanBeCancelled) {
  House house;
  const auto sink = std::make_shared<Sink>();
  const auto paused = house.scheduler->submit([&] {
    JobSetup setup = setup_of({.prompt_tokens = 40, .sink = sink});
    setup.is_paused = [] { return true; };
    return setup;
  }());
  EXPECT_FALSE(paused->wait_for(std::chrono::milliseconds(20)));
  paused->cancel();
  EXPECT_TRUE(paused->wait_for(std::chrono::seconds(5)));
  EXPECT_THROW(paused->answer(), Error);
  EXPECT_EQ(house.model.log()->caches, 0);
}

// The place that a cancelled request leaves is taken at once, though nothing else happens.
TEST(Scheduler, ThePlaceOfACancelledRequestGoesToTheNext) {
  House house({.script = kDigits}, {.max_sequences = 1});
  const auto sink = std::make_shared<Sink>();
  std::shared_ptr<Job> first, next;
  std::atomic<bool> has_first{false};
  sink->on_id = [&] {  // on the scheduler's thread: it comes to look only when all of this has happened
    if (next) return;
    while (!has_first) std::this_thread::yield();
    next = house.scheduler->submit(setup_of({}));
    std::this_thread::sleep_for(std::chrono::milliseconds(50));  // planned by then, behind the first
    first->cancel();
  };
  first = house.scheduler->submit(setup_of({.stop_ids = {15}, .sink = sink}));
  has_first = true;
  ASSERT_TRUE(first->wait_for(std::chrono::seconds(5)));
  ASSERT_TRUE(next->wait_for(std::chrono::seconds(5)));
  EXPECT_EQ(next->answer().ids, (Ids{5, 6, 7, 8, 9}));
}

TEST(Scheduler, PlacesAreGivenToClientsByTurns) {
  House house({.script = kDigits}, {.max_sequences = 1});
  const auto sink = std::make_shared<Sink>();
  std::vector<std::string> order;  // of the first tokens, on the scheduler's thread
  const auto asked_by = [&](const std::string& client) {
    const auto its = std::make_shared<Sink>();
    its->on_id = [&order, client] { order.push_back(client); };
    JobSetup setup = setup_of({.options = greedily(1), .sink = its});
    setup.client = client;
    return house.scheduler->submit(setup);
  };
  std::vector<std::shared_ptr<Job>> jobs;
  std::atomic<bool> runs{false}, is_full{false};
  sink->on_id = [&] {  // it holds the only place until all the others wait
    runs = true;
    while (!is_full) std::this_thread::yield();
  };
  const auto first = house.scheduler->submit(setup_of({.options = greedily(1), .sink = sink}));
  while (!runs) std::this_thread::yield();
  for (const char* client : {"many", "many", "many", "few", "many", "few"}) jobs.push_back(asked_by(client));
  while (house.scheduler->stats().waiting < 6) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(50));  // planned by then
  is_full = true;
  for (const auto& job : jobs) job->wait();
  EXPECT_THAT(order, ElementsAre("many", "few", "many", "few", "many", "many"));
}

TEST(Scheduler, CancelledBeforeItsFirstTokenIsAnError) {
  House house({.script = kDigits, .row_seconds = 0.002}, {.chunk = 8});
  const std::shared_ptr<Job> job = house.scheduler->submit(setup_of({.prompt_tokens = 90}));
  job->cancel();
  try {
    job->answer();
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kCancelled);
  }
  EXPECT_EQ(house.scheduler->stats().cache_pages, 0);
}

TEST(Scheduler, AnEmptyPromptAndStopStringsWithoutATokenizerAreErrors) {
  House house;
  EXPECT_THROW(house.answer({.prompt_tokens = 0}), Error);
  AnswerOptions with_stop = greedily();
  with_stop.stop = {"x"};
  EXPECT_THROW(house.answer({.options = with_stop}), Error);
}

TEST(Scheduler, AShortRequestIsNotKeptWaitingByALongPrefill) {
  House house({.script = kDigits, .row_seconds = 0.0005}, {.context = 20000, .max_step_seconds = 0.02});
  const std::shared_ptr<Job> long_one =
      house.scheduler->submit(setup_of({.prompt_tokens = 12000, .first_id = 2, .options = greedily(1)}));
  while (house.model.log()->seen().size() < 3) std::this_thread::yield();
  const size_t before = house.model.log()->seen().size();
  const Answer quick =
      house.scheduler->submit(setup_of({.prompt_tokens = 8, .first_id = 3, .options = greedily(1)}))->answer();
  EXPECT_EQ(quick.ids, (Ids{8}));
  const std::vector<FakeStep> steps = house.model.log()->seen();
  size_t first = steps.size();
  for (size_t i = before; i < steps.size() && first == steps.size(); ++i)
    if (std::count(steps[i].first_ids.begin(), steps[i].first_ids.end(), 3)) first = i;
  EXPECT_LE(first + 1 - before, 5u);
  EXPECT_FALSE(long_one->wait_for(std::chrono::milliseconds(0)));
  long_one->cancel();
  long_one->wait();
}

// Row i of a sequence decodes in every step, whatever prompts come.
TEST(Scheduler, DecodingSequencesGetARowInEveryStep) {
  House house({.script = kDigits, .row_seconds = 0.0005}, {.context = 20000, .max_step_seconds = 0.02});
  const std::shared_ptr<Job> decoding =
      house.scheduler->submit(setup_of({.prompt_tokens = 5, .first_id = 2, .options = greedily(), .stop_ids = {15}}));
  while (house.model.log()->seen().size() < 3) std::this_thread::yield();
  const size_t before = house.model.log()->seen().size() + 1;
  house.scheduler->submit(setup_of({.prompt_tokens = 2000, .first_id = 3, .options = greedily(1)}))->wait();
  const std::vector<FakeStep> steps = house.model.log()->seen();
  decoding->cancel();
  decoding->wait();
  std::set<size_t> prompt_rows;
  for (size_t i = before; i + 1 < steps.size(); ++i) {
    EXPECT_EQ(std::count(steps[i].first_ids.begin(), steps[i].first_ids.end(), 2), 1) << i;
    if (steps[i].first_ids.size() == 2) prompt_rows.insert(steps[i].rows.size() - 1);
  }
  ASSERT_FALSE(prompt_rows.empty());
  EXPECT_LE(*prompt_rows.rbegin(), 120u);  // 40 rows take 0.02 s; times are those of a busy machine
}

TEST(Scheduler, AStepThatFailsIsRepeatedWithoutTheYoungest) {
  std::atomic<int> failures{0};
  FakeModelOptions options{.script = kDigits, .step_seconds = 0.002};
  options.on_step = [&](std::int64_t, const Batch& batch) {
    for (const Row& row : batch.rows)
      if (row.id == 7 && batch.rows.size() > 1) {
        ++failures;
        throw Error(ErrorCode::kOutOfMemory, "fake: no memory");
      }
  };
  House house(options);
  const auto old =
      house.scheduler->submit(setup_of({.prompt_tokens = 3, .first_id = 2, .options = greedily(60), .stop_ids = {15}}));
  while (house.model.log()->seen().size() < 4) std::this_thread::yield();
  const auto young = house.scheduler->submit(setup_of({.prompt_tokens = 3, .first_id = 7, .options = greedily(5)}));
  EXPECT_THROW(young->answer(), Error);
  const Answer answer = old->answer();
  ASSERT_EQ(answer.ids.size(), 60u);
  for (size_t i = 0; i < answer.ids.size(); ++i) EXPECT_EQ(answer.ids[i], static_cast<std::int32_t>((3 + i) % 10)) << i;
  EXPECT_GE(failures, 1);
  EXPECT_EQ(house.model.log()->caches, 0);
}

TEST(Scheduler, LogitsThatAreNoNumbersEndTheirRequestAlone) {
  House house({.script = kDigits, .nan_after_id = 7});
  const auto good = house.scheduler->submit(setup_of({.prompt_tokens = 3, .first_id = 2, .options = greedily(3)}));
  const auto bad = house.scheduler->submit(setup_of({.prompt_tokens = 3, .first_id = 7, .options = greedily(3)}));
  try {
    bad->answer();
    FAIL();
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), AllOf(HasSubstr("position 3"), HasSubstr("trace")));
  }
  EXPECT_EQ(good->answer().ids, (Ids{3, 4, 5}));
}

PendingMedium medium(float value, std::vector<size_t> spans) {
  PendingMedium pending;
  pending.input.values.assign(3 * 2 * 2, value);
  pending.input.height = pending.input.width = 2;
  pending.rows = 2;
  pending.spans = std::move(spans);
  return pending;
}

JobSetup with_picture(const Ask& ask) {
  JobSetup setup = setup_of(ask);
  setup.plan = [ask] {
    PromptPlan plan;
    plan.prompt.ids.assign(static_cast<size_t>(ask.prompt_tokens), ask.first_id);
    plan.prompt.soft.push_back({.first = 1, .row = 0, .count = 2, .tokens = nullptr, .content = {}});
    plan.media.push_back(medium(0.5f, {0}));
    return plan;
  };
  return setup;
}

TEST(Scheduler, APictureDoesNotStopTheOthers) {
  House house({.script = kDigits, .step_seconds = 0.001, .encoder_blocks = 40, .block_seconds = 0.003});
  const auto decoding =
      house.scheduler->submit(setup_of({.prompt_tokens = 5, .first_id = 2, .options = greedily(80), .stop_ids = {15}}));
  while (house.model.log()->seen().size() < 2) std::this_thread::yield();
  const size_t before = house.model.log()->seen().size();
  const auto picture =
      house.scheduler->submit(with_picture({.prompt_tokens = 4, .first_id = 3, .options = greedily(1)}));
  EXPECT_EQ(picture->answer().ids, (Ids{4}));
  const std::vector<FakeStep> steps = house.model.log()->seen();
  size_t first = before;
  while (first < steps.size() && !std::count(steps[first].first_ids.begin(), steps[first].first_ids.end(), 3)) ++first;
  EXPECT_GE(first - before, 20u);  // steps of the other while the picture was encoded
  EXPECT_EQ(decoding->answer().ids.size(), 80u);
}

TEST(Scheduler, WhatIsCheckedBehindAStepEndsWhatItWasFor) {
  std::atomic<bool> is_lost{true};
  SchedulerOptions options;
  options.after_step = [&] {
    if (is_lost) throw Error(ErrorCode::kBadFile, "fake: a page is lost");
  };
  House house({.script = kDigits}, options);
  JobSetup soft_tokens = with_picture({});
  soft_tokens.wants_prompt_only = true;
  for (const JobSetup& setup :
       {setup_of({.options = greedily(1)}), with_picture({.options = greedily(1)}), soft_tokens}) {
    is_lost = true;
    EXPECT_THROW(house.scheduler->submit(JobSetup(setup))->answer(), Error);
    is_lost = false;
    EXPECT_NO_THROW(house.scheduler->submit(JobSetup(setup))->answer());
  }
  EXPECT_EQ(house.model.log()->caches, 0);
}

TEST(Scheduler, ACancelledEncodingEndsAtItsNextBlock) {
  House house({.script = kDigits, .encoder_blocks = 1000, .block_seconds = 0.002});
  const auto job = house.scheduler->submit(with_picture({.prompt_tokens = 4}));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  job->cancel();
  EXPECT_TRUE(job->wait_for(std::chrono::milliseconds(1000)));
  EXPECT_THROW(job->answer(), Error);
  EXPECT_EQ(house.answer({.options = greedily(1)}).ids, (Ids{5}));
}

TEST(Scheduler, SixtyFourRequestsAThirdOfThemCancelled) {
  FakeModelOptions options{.vocab_size = 64, .row_seconds = 0.00002};
  std::map<std::int32_t, Ids> scripts;
  for (std::int32_t id = 0; id < 64; ++id) {
    std::mt19937 random(static_cast<unsigned>(id));
    for (int i = 0; i < 31; ++i) scripts[id].push_back(static_cast<std::int32_t>(random() % 64));
  }
  options.scripts = scripts;
  House house(options, {.context = 2000, .chunk = 64, .max_sequences = 16, .max_step_seconds = 0.005});
  const auto ask = [](std::int32_t id) {
    Ask one{.prompt_tokens = 3 + 37 * (id % 9), .first_id = id, .options = greedily(20 + id), .stop_ids = {}};
    one.options.sampling = {.temperature = 3.0, .top_k = 0, .top_p = 1, .seed = static_cast<std::uint64_t>(id)};
    return one;
  };
  std::vector<Ids> alone;
  for (std::int32_t id = 0; id < 64; ++id) alone.push_back(house.answer(ask(id)).ids);
  std::vector<std::shared_ptr<Job>> jobs;
  for (std::int32_t id = 0; id < 64; ++id) jobs.push_back(house.scheduler->submit(setup_of(ask(id))));
  std::mt19937 random(7);
  for (size_t i = 0; i < jobs.size(); i += 3) {
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 3000));
    jobs[i]->cancel();
  }
  for (size_t i = 0; i < jobs.size(); ++i) {
    jobs[i]->wait();
    if (i % 3 != 0) {
      EXPECT_EQ(jobs[i]->answer().ids, alone[i]) << i;
    }
  }
  EXPECT_EQ(house.model.log()->caches, 0);
  EXPECT_EQ(house.scheduler->stats().cache_pages, 0);
  EXPECT_EQ(house.scheduler->stats().running, 0);
}

// ---- prefixes that were computed before
// ------------------------------------------------------------------------------

SchedulerOptions keeping(SchedulerOptions options = {}) {
  if (options.context == 0) options.context = 4000;
  options.idle_kv_bytes = INT64_MAX;
  return options;
}

JobSetup setup_of(const Ids& ids, std::int64_t max_tokens, std::vector<std::int64_t> keep_at = {}) {
  JobSetup setup = setup_of({.options = greedily(max_tokens), .stop_ids = {15}});
  setup.plan = [ids, keep_at] {
    PromptPlan plan;
    plan.prompt.ids = ids;
    plan.keep_at = keep_at;
    return plan;
  };
  return setup;
}

// An id for each position; what differs begins with another.
Ids prompt(std::int64_t count, std::int32_t seed = 0) {
  Ids ids;
  for (std::int64_t i = 0; i < count; ++i) ids.push_back(static_cast<std::int32_t>((i * 7 + i / 5 + seed) % 15));
  return ids;
}
TEST(Scheduler, APromptThatBeginsLikeOneBeforeComputesOnlyWhatIsNew) {
  House house({.script = kDigits}, keeping());
  const Answer first = house.scheduler->submit(setup_of(prompt(300), 4))->answer();
  EXPECT_EQ(first.timings.prefilled_tokens, 300);
  // The next turn: prompt, answer and more. The last token of the answer was never fed.
  const Ids next = joined(joined(prompt(300), first.ids), {1, 2, 3});
  const Answer second = house.scheduler->submit(setup_of(next, 4))->answer();
  EXPECT_EQ(second.prompt_tokens, 307);
  EXPECT_EQ(second.timings.prefilled_tokens, 4);
  EXPECT_EQ(second.ids, (Ids{7, 8, 9, 0}));
  // The same again: all but the position that gives the first token.
  EXPECT_EQ(house.scheduler->submit(setup_of(next, 4))->answer().timings.prefilled_tokens, 1);
  EXPECT_EQ(house.scheduler->stats().prefix_hits, 2);
  EXPECT_EQ(house.scheduler->stats().prefix_lookups, 3);
  EXPECT_EQ(house.scheduler->stats().idle_cache_bytes, house.scheduler->stats().cache_bytes);
}

// What a step would lose is forked off: behind a system text, at a prompt's end, every 2048 positions.
TEST(Scheduler, LikelyEndsOfAPrefixAreKeptThoughTheSequenceWentFarBeyond) {
  House house({.script = kDigits}, keeping({.context = 6000}));
  const Ids system = prompt(1000);
  const Ids whole = joined(system, prompt(2000, 1));
  house.scheduler->submit(setup_of(whole, 200, {1000}))->wait();
  const auto computed = [&](const Ids& ids) {
    return house.scheduler->submit(setup_of(ids, 1))->answer().timings.prefilled_tokens;
  };
  EXPECT_EQ(computed(joined(system, prompt(30, 2))), 30);
  EXPECT_EQ(computed(joined(whole, {14, 14, 14})), 3);
  EXPECT_EQ(computed(joined(Ids(whole.begin(), whole.begin() + 2500), {14, 14, 14})), 2503 - 2048);
}

// Where a second prompt goes another way than the first, a third is expected.
TEST(Scheduler, WhereTwoPromptsWentDifferentWaysAThirdGoesOn) {
  House house({.script = kDigits}, keeping());
  const Ids begin = prompt(500);
  const auto computed = [&](std::int32_t seed) {
    return house.scheduler->submit(setup_of(joined(begin, prompt(300, seed)), 100))->answer().timings.prefilled_tokens;
  };
  EXPECT_EQ(computed(1), 800);
  EXPECT_EQ(computed(2), 800);  // behind 500 positions nothing can be gone on from
  EXPECT_EQ(computed(3), 300);
}

TEST(Scheduler, LogitsOfAllPositionsAndRequestsOfAnotherSaltComputeEverything) {
  House house({.script = kDigits}, keeping());
  house.scheduler->submit(setup_of(prompt(300), 1))->wait();
  JobSetup logits = setup_of(prompt(300), 1);
  std::int64_t rows = 0;
  logits.wants_answer = false;
  logits.logits = WantedLogits{.on_rows = [&](std::int64_t, View<const float, 2> r) { rows += r.dim[0]; }};
  house.scheduler->submit(std::move(logits))->wait();
  EXPECT_EQ(rows, 300);
  JobSetup late = setup_of(prompt(300), 1);
  std::vector<std::int64_t> positions;
  late.wants_answer = false;
  late.logits = WantedLogits{.first = 298, .on_rows = [&](std::int64_t position, View<const float, 2> r) {
                               for (std::int64_t i = 0; i < r.dim[0]; ++i) positions.push_back(position + i);
                             }};
  EXPECT_EQ(house.scheduler->submit(std::move(late))->answer().timings.prefilled_tokens, 2);
  EXPECT_EQ(positions, (std::vector<std::int64_t>{298, 299}));
  JobSetup salted = setup_of(prompt(300), 1);
  salted.cache_salt = "another";
  EXPECT_EQ(house.scheduler->submit(std::move(salted))->answer().timings.prefilled_tokens, 300);
}

// Four answers to one prompt: one computes it, the others wait and go on from there.
TEST(Scheduler, APromptThatAnotherComputesIsWaitedFor) {
  House house({.script = kDigits, .row_seconds = 0.0001}, keeping({.chunk = 64}));
  std::vector<std::shared_ptr<Job>> jobs;
  for (int i = 0; i < 4; ++i) jobs.push_back(house.scheduler->submit(setup_of(prompt(1000), 5)));
  jobs.push_back(house.scheduler->submit(setup_of(joined(prompt(900), prompt(50, 3)), 5)));
  std::int64_t computed = 0;
  for (size_t i = 0; i < jobs.size(); ++i) {
    EXPECT_EQ(jobs[i]->answer().ids, i < 4 ? (Ids{0, 1, 2, 3, 4}) : (Ids{0, 1, 2, 3, 4})) << i;
    computed += jobs[i]->answer().timings.prefilled_tokens;
  }
  EXPECT_EQ(computed, 1000 + 3 + 50);
}

TEST(Scheduler, WhoWaitsForAnotherGoesOnAloneWhenThatOneIsGone) {
  House house({.script = kDigits, .row_seconds = 0.0002}, keeping({.chunk = 64}));
  const auto first = house.scheduler->submit(setup_of(prompt(2000), 5));
  while (house.model.log()->seen().size() < 2) std::this_thread::yield();
  const auto second = house.scheduler->submit(setup_of(prompt(2000), 5));
  std::this_thread::sleep_for(std::chrono::milliseconds(10));
  first->cancel();
  EXPECT_EQ(second->answer().ids, (Ids{0, 1, 2, 3, 4}));
  EXPECT_LT(second->answer().timings.prefilled_tokens, 2000);  // what the cancelled one left
}

TEST(Scheduler, IdleCachesTakeNoMoreThanTheirShare) {
  SchedulerOptions options = keeping();
  options.idle_kv_bytes = 1000;
  House house({.script = kDigits}, options);
  for (std::int32_t i = 0; i < 10; ++i) house.scheduler->submit(setup_of(joined({i}, prompt(300, i)), 1))->wait();
  EXPECT_LE(house.scheduler->stats().cache_bytes, 1000);
  EXPECT_GE(house.scheduler->stats().cache_bytes, 600);
  EXPECT_GE(house.scheduler->stats().prefix_evictions, 7);
}

// Room for two of five: the youngest pause, and nobody's answer is another.
TEST(Scheduler, WithoutRoomTheYoungestPausesAndTheAnswersAreTheSame) {
  FakeModelOptions model{.vocab_size = 64, .step_seconds = 0.0002};  // they overlap
  for (std::int32_t id = 0; id < 64; ++id) {
    std::mt19937 random(static_cast<unsigned>(id));
    for (int i = 0; i < 31; ++i) model.scripts[id].push_back(static_cast<std::int32_t>(random() % 64));
  }
  bool is_hooked = false;  // a row may be with its hook when its sequence pauses
  const auto ask = [&](std::int32_t i) {
    JobSetup setup = setup_of(joined({i}, prompt(100 + 10 * i, i)), 150);
    if (is_hooked) setup.options.logits_hook = [](std::span<const std::int32_t>, std::span<float>) {};
    setup.options.sampling = {.temperature = 3.0, .top_k = 0, .top_p = 1, .seed = static_cast<std::uint64_t>(i)};
    setup.stop_ids = {};
    return setup;
  };
  std::vector<Answer> alone;
  {
    House house(model, {.context = 4000});
    for (std::int32_t i = 0; i < 5; ++i) alone.push_back(house.scheduler->submit(ask(i))->answer());
  }
  for (const auto& [idle, hooked] : {std::pair{std::int64_t{0}, false}, {INT64_MAX, false}, {INT64_MAX, true}}) {
    SchedulerOptions options{.context = 4000, .chunk = 32, .kv_bytes = 500};
    options.idle_kv_bytes = idle;
    is_hooked = hooked;
    House house(model, options);
    std::vector<std::shared_ptr<Job>> jobs;
    for (std::int32_t i = 0; i < 5; ++i) jobs.push_back(house.scheduler->submit(ask(i)));
    for (size_t i = 0; i < jobs.size(); ++i) {
      EXPECT_EQ(jobs[i]->answer().ids, alone[i].ids) << i;
      EXPECT_EQ(jobs[i]->answer().timings.prefilled_tokens, alone[i].timings.prefilled_tokens) << i;
    }
    EXPECT_GE(house.scheduler->stats().pauses, 1);
    EXPECT_LE(house.scheduler->stats().cache_bytes, 500);
    if (idle == 0) {
      EXPECT_EQ(house.model.log()->caches, 0);
    }
  }
}

// A sink hears of every prompt position and token once, also of a request that paused.
TEST(Scheduler, APauseIsNotHeardOf) {
  SchedulerOptions options{.context = 4000, .chunk = 32, .kv_bytes = 450};
  House house({.script = kDigits, .step_seconds = 0.001}, options);
  const auto one = house.scheduler->submit(setup_of(prompt(200), 100));
  JobSetup setup = setup_of(joined({3}, prompt(150, 1)), 100);
  const auto sink = std::make_shared<Sink>();
  setup.sink = sink;
  const auto other = house.scheduler->submit(std::move(setup));
  one->wait();
  EXPECT_EQ(sink->ids.size(), (other->wait(), 100u));
  EXPECT_EQ(sink->ids, other->answer().ids);
  EXPECT_GE(house.scheduler->stats().pauses, 1);
  std::int64_t last = 0;
  for (const auto& [done, total] : sink->prefill) {
    EXPECT_GT(done, last);
    EXPECT_EQ(total, 151);
    last = done;
  }
  EXPECT_EQ(last, 151);
}

TEST(Scheduler, AMediumIsEncodedOnce) {
  SchedulerOptions options = keeping();
  options.media_cache = std::make_shared<MediaCache>(1 << 20);
  House house({.script = kDigits}, options);
  const auto picture = [](std::uint8_t content) {
    JobSetup setup = setup_of(Ask{.options = greedily(1)});
    setup.plan = [content] {
      PromptPlan plan;
      plan.prompt.ids.assign(5, 1);
      plan.media.push_back(medium(0.5f, {0}));
      plan.media[0].input.content[0] = content;
      plan.prompt.soft.push_back(
          {.first = 1, .row = 0, .count = 2, .tokens = nullptr, .content = plan.media[0].input.content});
      return plan;
    };
    return setup;
  };
  house.scheduler->submit(picture(1))->wait();
  EXPECT_EQ(house.model.log()->encodes, 1);
  house.scheduler->submit(picture(1))->wait();
  EXPECT_EQ(house.model.log()->encodes, 1);
  house.scheduler->submit(picture(2))->wait();
  EXPECT_EQ(house.model.log()->encodes, 2);
}

TEST(Scheduler, ATicketOutlivesItsScheduler) {
  std::shared_ptr<Job> running, waiting;
  {
    House house({.script = kDigits, .step_seconds = 0.005}, {.max_sequences = 1});
    running = house.scheduler->submit(setup_of({.stop_ids = {15}}));
    waiting = house.scheduler->submit(setup_of({.stop_ids = {15}}));
    while (house.model.log()->seen().empty()) std::this_thread::yield();
  }
  EXPECT_TRUE(running->wait_for(std::chrono::milliseconds(0)));
  EXPECT_TRUE(waiting->wait_for(std::chrono::milliseconds(0)));
  EXPECT_THROW(waiting->answer(), Error);
  running->cancel();
}

TEST(StepBudget, AloneAWholeChunkElseWhatTheOthersCanBear) {
  StepBudget budget(512, 0.15);
  EXPECT_EQ(budget.rows(true), 512);
  EXPECT_EQ(budget.rows(false), 32);  // nothing measured yet
  for (int i = 0; i < 40; ++i) budget.note(0, 512, 512 * 0.005);
  EXPECT_EQ(budget.rows(false), 24);  // 30 rows of 5 ms
  EXPECT_EQ(budget.rows(true), 512);
  for (int i = 0; i < 40; ++i) budget.note(0, 512, 512 * 0.5);
  EXPECT_EQ(budget.rows(false), 8);
  for (int i = 0; i < 60; ++i) budget.note(0, 512, 512 * 0.00001);
  EXPECT_EQ(budget.rows(false), 512);
}

TEST(StepBudget, RowsAreSharedEvenlyInEightsShortestFirst) {
  EXPECT_THAT(share_rows(Ids64{100}, 512), ElementsAre(100));
  EXPECT_THAT(share_rows(Ids64{1000, 8}, 64), ElementsAre(56, 8));
  EXPECT_THAT(share_rows(Ids64{1000, 1000}, 64), ElementsAre(32, 32));
  EXPECT_THAT(share_rows(Ids64{1000, 1000, 1000}, 8), ElementsAre(8, 0, 0));
  EXPECT_THAT(share_rows(Ids64{1000, 5, 3}, 16), ElementsAre(8, 5, 3));
  EXPECT_TRUE(share_rows({}, 64).empty());
}

}  // namespace
}  // namespace g3n::testing
