// run_bench: requests with prompts of made-up ids, timed by their own events.
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>

#include "core/file_kind.h"
#include "g3n/diagnostics.h"
#include "g3n/error.h"
#include "runtime/diagnostics/media_ids.h"
#include "runtime/engine_impl.h"

namespace g3n {
namespace {

constexpr double kLoadBudget = 10.0;  // seconds: loading is repeated only while it has taken less
constexpr size_t kWarmUpSteps = 2;    // decoded tokens that do not count, behind the one that prefill gives
constexpr std::chrono::milliseconds kPoll{20};

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// Ids spread over the vocabulary, as in the goldens of full shape and in bench/; behind a <bos>.
int32_t prompt_id(int64_t i, int64_t ids) {
  return i == 0 ? 2 : static_cast<int32_t>(3 + (2654435761 * i + 7 * i * i) % std::max<int64_t>(ids - 6, 1));
}
uint32_t noise(size_t i) { return static_cast<uint32_t>(i) * 2654435761u; }

std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name")) return line.substr(std::min(line.size(), line.find(':') + 2));
  return "unknown";
}

std::string format_of(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return "folder";
  return file_kind_of(path) == FileKind::kGguf ? "gguf" : "g3n";
}

// When each token of one answer came. Filled by the engine's thread, read when the answer has ended; `enough` is called
// there once, with the token of that number, while the caches are still held.
class TokenClock : public EventSink {
 public:
  TokenClock(size_t tokens, std::function<void()> enough) : tokens_(tokens), enough_(std::move(enough)) {
    times_.reserve(tokens);
  }
  void on_token(std::int32_t) override {
    times_.push_back(now());
    if (times_.size() == tokens_) enough_();
  }
  const std::vector<double>& times() const { return times_; }

 private:
  size_t tokens_;
  std::function<void()> enough_;
  std::vector<double> times_;
};

// Counts down to zero, on any thread.
class Countdown {
 public:
  explicit Countdown(int64_t count) : count_(count) {}
  void step() {
    std::lock_guard lock(mutex_);
    if (--count_ == 0) reached_.notify_all();
  }
  bool wait_for(std::chrono::milliseconds time) {
    std::unique_lock lock(mutex_);
    return reached_.wait_for(lock, time, [this] { return count_ <= 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable reached_;
  int64_t count_;
};

class Bench {
 public:
  Bench(const EngineOptions& engine, const BenchOptions& options, const std::function<void(const BenchResult&)>& before)
      : engine_options_(engine), options_(options), before_(before) {
    engine_options_.cache_ram = engine_options_.media_cache = 0;  // everything is computed
    for (const int64_t sequences : options_.batch)
      engine_options_.max_sequences = std::max(engine_options_.max_sequences, sequences);
  }

  BenchReport measure() {
    load();
    if (options_.prefill.empty() && options_.decode_at.empty() && options_.batch.empty() &&
        options_.image_sizes.empty() && options_.audio_seconds.empty())
      choose_works();
    for (const int64_t tokens : options_.prefill) prefill(tokens);
    for (const int64_t context : options_.decode_at) decode(context);
    for (const int64_t sequences : options_.batch) batch(sequences);
    for (const int64_t size : options_.image_sizes) image(size);
    for (const double seconds : options_.audio_seconds) audio(seconds);
    return std::move(report_);
  }

 private:
  BenchResult& begin(BenchWork work, double amount) {
    report_.results.push_back({work, amount, {}});
    if (before_) before_(report_.results.back());
    return report_.results.back();
  }

  // The peaks so far: of all pages as the system keeps it, of each kind at the moments when a work has just been done.
  void note_memory() {
    std::ifstream file("/proc/self/status");
    for (std::string line; std::getline(file, line);) {
      const auto raise = [&line](const char* key, int64_t& most) {
        if (line.starts_with(key))
          most = std::max<int64_t>(most, std::strtoll(line.c_str() + line.find(':') + 1, nullptr, 10) * 1024);
      };
      raise("VmHWM:", report_.peak_bytes);
      raise("RssAnon:", report_.peak_anonymous_bytes);
      raise("RssFile:", report_.peak_file_bytes);
    }
  }

  // What is loaded last stays; what was loaded before is gone by then.
  void load() {
    BenchResult& result = begin(BenchWork::kLoad, 0);
    EngineOptions engine = engine_options_;
    double taken = 0;
    for (int64_t turn = 0; turn < options_.repeat && (turn == 0 || taken < kLoadBudget); ++turn) {
      engine_.reset();
      const double start = now();
      engine_ = Engine::open(engine);
      result.values.push_back(now() - start);
      taken += result.values.back();
      engine.on_warning = {}, engine.on_memory = {};  // once is enough
    }
    note_memory();
    const ModelInfo& info = engine_->info();
    report_.path = info.path;
    report_.format = format_of(info.path);
    report_.cpu = cpu_name();
    report_.kernels = info.kernels;
    report_.threads = info.threads;
  }

  void choose_works() {
    options_.prefill = {512};
    options_.decode_at = {0};
    if (engine_->info().has_vision) options_.image_sizes = {engine_->info().image_size};
    if (engine_->info().has_audio) options_.audio_seconds = {30};
  }

  void expect_room(int64_t positions) const {
    const int64_t most = engine_->info().context;
    if (positions > most)
      throw Error(ErrorCode::kContextFull, "bench: " + std::to_string(positions) +
                                               " positions asked for, the model has " + std::to_string(most));
  }

  // Greedy answers; max_tokens -1: until they are cancelled.
  Ticket submit(std::vector<int32_t> ids, int64_t max_tokens, std::shared_ptr<EventSink> sink) {
    Request request;
    request.prompt = IdsPrompt{std::move(ids), {}};
    request.options.sampling.temperature = 0;
    request.options.max_tokens = max_tokens;
    request.options.ignore_stop_ids = true;
    return engine_->submit(std::move(request), std::move(sink));
  }
  bool is_cancelled() const { return options_.cancelled && options_.cancelled->load(std::memory_order_relaxed); }
  void expect_not_cancelled() const {
    if (is_cancelled()) throw cancelled_error();
  }

  std::vector<int32_t> prompt_of(int64_t tokens) const {
    const int64_t choosable = EngineAccess::of(*engine_).model->choosable_ids();
    std::vector<int32_t> ids;
    for (int64_t i = 0; i < tokens; ++i) ids.push_back(prompt_id(i, choosable));
    return ids;
  }

  // Times of so many tokens behind a prompt.
  std::vector<double> answer(int64_t prompt_tokens, int64_t tokens) {
    const auto clock = std::make_shared<TokenClock>(tokens, [this] { note_memory(); });
    const Ticket ticket = submit(prompt_of(prompt_tokens), tokens, clock);
    while (!ticket.wait_for(kPoll))
      if (is_cancelled()) ticket.cancel();
    ticket.answer();
    expect_not_cancelled();
    return clock->times();
  }

  // A prompt ends with its first token.
  void prefill(int64_t tokens) {
    BenchResult& result = begin(BenchWork::kPrefill, static_cast<double>(tokens));
    expect_room(tokens);
    answer(std::min(tokens, engine_options_.chunk), 1);
    for (int64_t turn = 0; turn < options_.repeat; ++turn) {
      const double start = now();
      result.values.push_back(static_cast<double>(tokens) / (answer(tokens, 1).at(0) - start));
    }
  }

  // Repetitions go on where the one before stopped: the context is fed once, and `repeat * decode_tokens` more
  // positions change little.
  void decode(int64_t context) {
    BenchResult& result = begin(BenchWork::kDecode, static_cast<double>(context));
    const int64_t prompt = std::max<int64_t>(context, 1);  // something has to come first
    const size_t each = static_cast<size_t>(options_.decode_tokens);
    const size_t steps = kWarmUpSteps + static_cast<size_t>(options_.repeat) * each;
    expect_room(prompt + static_cast<int64_t>(steps));
    const std::vector<double> times = answer(prompt, static_cast<int64_t>(1 + steps));
    for (size_t at = kWarmUpSteps; at < steps; at += each)
      result.values.push_back(static_cast<double>(each) / (times.at(at + each) - times.at(at)));
  }

  // Measured while all of them decode: from where the last one has warmed up to where it has had its repetitions.
  void batch(int64_t sequences) {
    BenchResult& result = begin(BenchWork::kBatch, static_cast<double>(sequences));
    const size_t each = static_cast<size_t>(options_.decode_tokens), turns = static_cast<size_t>(options_.repeat);
    const size_t tokens = 1 + kWarmUpSteps + turns * each;
    expect_room(static_cast<int64_t>(2 + tokens));
    const auto running = std::make_shared<Countdown>(sequences);
    std::vector<std::shared_ptr<TokenClock>> clocks;
    std::vector<Ticket> tickets;
    for (int64_t i = 0; i < sequences; ++i) {
      clocks.push_back(std::make_shared<TokenClock>(tokens, [running] { running->step(); }));
      const int64_t choosable = EngineAccess::of(*engine_).model->choosable_ids();
      tickets.push_back(submit({prompt_id(0, choosable), prompt_id(i + 1, choosable)}, -1, clocks.back()));
    }
    const auto has_ended = [](const Ticket& ticket) { return ticket.wait_for(std::chrono::milliseconds(0)); };
    while (!running->wait_for(kPoll) && !is_cancelled() && std::none_of(tickets.begin(), tickets.end(), has_ended)) {
    }
    note_memory();
    for (const Ticket& ticket : tickets) ticket.cancel();
    for (const Ticket& ticket : tickets) ticket.wait();
    expect_not_cancelled();
    for (const Ticket& ticket : tickets) ticket.answer();

    std::vector<double> times;
    double start = 0;
    for (const auto& clock : clocks) {
      times.insert(times.end(), clock->times().begin(), clock->times().end());
      start = std::max(start, clock->times().at(kWarmUpSteps));
    }
    std::sort(times.begin(), times.end());
    const size_t window = each * clocks.size();
    size_t at = static_cast<size_t>(std::upper_bound(times.begin(), times.end(), start) - times.begin()) - 1;
    if (at + turns * window >= times.size())
      throw Error(ErrorCode::kContextFull, "bench: a sequence came to the end of its " +
                                               std::to_string(engine_->info().context) +
                                               " positions before the others were measured");
    for (size_t turn = 0; turn < turns; ++turn, at += window)
      result.values.push_back(static_cast<double>(window) / (times[at + window] - times[at]));
  }

  // Seconds from a medium to its soft tokens; the first time, which may load an encoder, does not count.
  void encode(BenchResult& result, const MediaPart& part) {
    const Prompt prompt = ids_of_media(EngineAccess::of(*engine_), {part});
    for (int64_t turn = -1; turn < options_.repeat; ++turn) {
      const double start = now();
      engine_->prepare(prompt, options_.cancelled);
      if (turn >= 0) result.values.push_back(now() - start);
    }
    note_memory();
  }

  void image(int64_t size) {
    if (!engine_->info().has_vision)
      throw Error(ErrorCode::kUnsupported, "bench: this model has no image encoder, and an image is to be encoded");
    BenchResult& result = begin(BenchWork::kImage, static_cast<double>(size));
    Pixels pixels{static_cast<int>(size), static_cast<int>(size),
                  std::vector<uint8_t>(static_cast<size_t>(size * size * 3))};
    for (size_t i = 0; i < pixels.rgb.size(); ++i) pixels.rgb[i] = static_cast<uint8_t>(noise(i) >> 24);
    encode(result, ImagePart{.source = std::move(pixels), .size = static_cast<int>(size)});
  }

  void audio(double seconds) {
    if (!engine_->info().has_audio)
      throw Error(ErrorCode::kUnsupported, "bench: this model has no audio encoder, and a clip is to be encoded");
    BenchResult& result = begin(BenchWork::kAudio, seconds);
    Samples samples{std::vector<float>(static_cast<size_t>(seconds * 16000))};
    for (size_t i = 0; i < samples.pcm.size(); ++i)
      samples.pcm[i] = static_cast<float>(static_cast<int32_t>(noise(i))) / 2147483648.0f;
    encode(result, AudioPart{.source = std::move(samples)});
  }

  EngineOptions engine_options_;
  BenchOptions options_;
  const std::function<void(const BenchResult&)>& before_;
  BenchReport report_;
  std::shared_ptr<Engine> engine_;
};

void check_options(const BenchOptions& options) {
  const auto expect_positive = [](const char* what, int64_t value) {
    if (value < 1)
      throw Error(ErrorCode::kInvalidArgument,
                  std::string("bench: ") + what + ": expected 1 or more, got " + std::to_string(value));
  };
  expect_positive("decode tokens", options.decode_tokens);
  expect_positive("repeat", options.repeat);
  for (const int64_t tokens : options.prefill) expect_positive("prefill", tokens);
  for (const int64_t sequences : options.batch) expect_positive("batch", sequences);
}

}  // namespace

const char* bench_work_name(BenchWork work) {
  switch (work) {
    case BenchWork::kLoad: return "load";
    case BenchWork::kPrefill: return "prefill";
    case BenchWork::kDecode: return "decode";
    case BenchWork::kBatch: return "batch";
    case BenchWork::kImage: return "image";
    case BenchWork::kAudio: return "audio";
  }
  return "?";
}

BenchReport run_bench(const EngineOptions& engine, const BenchOptions& options,
                      const std::function<void(const BenchResult&)>& before) {
  check_options(options);
  return Bench(engine, options, before).measure();
}

}  // namespace g3n
