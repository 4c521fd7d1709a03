// What many at once cost each other: inter-token time of two chats alone and beside a long prompt, steps until a
// newcomer's first token, and what the second turn of a chat with a picture computes.
// bench_scheduler FOLDER PICTURE [LONG_PROMPT_TOKENS [RECIPE]]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iterator>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "bench/median.h"
#include "g3n/engine.h"
#include "g3n/session.h"

namespace g3n {
namespace {

using Clock = std::chrono::steady_clock;

MediaBytes read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error(ErrorCode::kNotFound, path + ": cannot be read");
  return {{std::istreambuf_iterator<char>(file), {}}, path};
}

// When tokens came.
class TokenTimes : public EventSink {
 public:
  explicit TokenTimes(const Engine& engine) : engine_(engine) {}

  void on_token(std::int32_t) override {
    std::lock_guard lock(mutex_);
    if (times_.empty()) steps_at_first_ = engine_.stats().steps;
    times_.push_back(Clock::now());
  }
  std::int64_t count() const {
    std::lock_guard lock(mutex_);
    return std::ssize(times_);
  }
  std::int64_t steps_at_first() const { return steps_at_first_; }
  // Milliseconds between neighbours, from token `first` on.
  std::vector<double> gaps(std::int64_t first) const {
    std::vector<double> gaps;
    for (auto i = static_cast<std::size_t>(first) + 1; i < times_.size(); ++i)
      gaps.push_back(std::chrono::duration<double, std::milli>(times_[i] - times_[i - 1]).count());
    return gaps;
  }

 private:
  const Engine& engine_;
  mutable std::mutex mutex_;
  std::vector<Clock::time_point> times_;
  std::int64_t steps_at_first_ = 0;
};

struct Running {
  std::shared_ptr<TokenTimes> times;
  Ticket ticket;

  void wait_for_tokens(std::int64_t count) const {
    while (times->count() < count && !ticket.wait_for(std::chrono::milliseconds(1))) {
    }
  }
};

class Bench {
 public:
  explicit Bench(const EngineOptions& options) : engine_(Engine::open(options)), max_step_ms_(options.max_step_ms) {}

  void measure_steps(std::int64_t long_tokens) {
    constexpr std::int64_t kTokens = 48, kFirst = 4;
    std::vector<double> alone;
    {
      const Running chats[] = {start(100, kTokens), start(100, kTokens)};
      for (const Running& chat : chats) chat.ticket.answer();
      for (const Running& chat : chats) add(alone, chat.times->gaps(kFirst));
    }
    const Running chats[] = {start(100, 4096), start(100, 4096)};
    for (const Running& chat : chats) chat.wait_for_tokens(kFirst);
    const Running prompt = start(long_tokens, 1);
    std::this_thread::sleep_for(std::chrono::seconds(1));
    const std::int64_t first_beside = chats[0].times->count();
    for (const Running& chat : chats) chat.wait_for_tokens(first_beside + kTokens);
    std::vector<double> beside;
    for (const Running& chat : chats) add(beside, chat.times->gaps(first_beside));
    const std::int64_t before = engine_->stats().steps;
    const Running newcomer = start(20, 1);
    newcomer.ticket.answer();
    const bool is_beside = !prompt.ticket.wait_for(std::chrono::milliseconds(0));
    prompt.ticket.cancel();
    for (const Running& chat : chats) chat.ticket.cancel(), chat.ticket.wait();
    prompt.ticket.wait();
    const double bar = (median(alone) + max_step_ms_) * 1.2;
    std::printf("two chats alone                     %7.1f ms a token (largest %.1f)\n", median(alone), largest(alone));
    std::printf("beside a prompt of %-6lld tokens    %7.1f ms a token (largest %.1f); bar %.1f\n",
                static_cast<long long>(long_tokens), median(beside), largest(beside), bar);
    std::printf("a newcomer's first token            %lld steps after it came%s\n",
                static_cast<long long>(newcomer.times->steps_at_first() + 1 - before),
                is_beside ? "" : " (the long prompt had ended: take a longer one)");
  }

  void measure_second_turn(const std::string& picture) {
    Session session(engine_);
    const AnswerOptions options{.sampling = {.temperature = 0}, .max_tokens = 24, .ignore_stop_ids = true};
    session.reply({ImagePart{read_file(picture)}, TextPart{"What is this?"}}, options);
    const std::int64_t before = session.used_context();
    const auto start = Clock::now();
    const Answer second = session.reply({TextPart{"And what colour does it have?"}}, options);
    const double ms = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
    std::printf(
        "second turn of a chat with a picture %lld tokens, %lld of them new, %lld computed; prefill %.0f ms of %.0f\n",
        static_cast<long long>(second.prompt_tokens), static_cast<long long>(second.prompt_tokens - before),
        static_cast<long long>(second.timings.prefilled_tokens), second.timings.prefill_seconds * 1000, ms);
  }

 private:
  // A prompt of its own that shares nothing with the others.
  Running start(std::int64_t prompt_tokens, std::int64_t max_tokens) {
    IdsPrompt prompt;
    prompt.ids.push_back(2);
    for (std::int64_t i = 1; i < prompt_tokens; ++i)
      prompt.ids.push_back(static_cast<std::int32_t>(10 + (i * 7919 + prompts_ * 104729) % 1000));
    ++prompts_;
    Running running{std::make_shared<TokenTimes>(*engine_), {}};
    running.ticket = engine_->submit(
        {std::move(prompt), {.sampling = {.temperature = 0}, .max_tokens = max_tokens, .ignore_stop_ids = true}},
        running.times);
    return running;
  }

  static void add(std::vector<double>& to, const std::vector<double>& more) {
    to.insert(to.end(), more.begin(), more.end());
  }
  static double largest(const std::vector<double>& values) { return *std::max_element(values.begin(), values.end()); }

  const std::shared_ptr<Engine> engine_;
  const double max_step_ms_;
  std::int64_t prompts_ = 0;
};

}  // namespace
}  // namespace g3n

int main(int argc, char** argv) try {
  if (argc < 3) return std::fprintf(stderr, "usage: bench_scheduler FOLDER PICTURE [LONG_PROMPT_TOKENS [RECIPE]]\n"), 2;
  g3n::EngineOptions options;
  options.model = argv[1];
  options.compute = g3n::Compute::kBF16;
  if (argc > 4) options.quantize = argv[4];
  g3n::Bench bench(options);
  bench.measure_steps(argc > 3 ? std::atoll(argv[3]) : 16384);
  bench.measure_second_turn(argv[2]);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "bench_scheduler: %s\n", error.what());
  return 1;
}
