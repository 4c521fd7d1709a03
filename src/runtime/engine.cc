#include "g3n/engine.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string>

#include "checkpoint/find_model.h"
#include "core/free_memory.h"
#include "core/mapped_file.h"
#include "g3n/media.h"
#include "tokenizer/tokenizer.h"
#include "runtime/engine_impl.h"
#include "runtime/tap_recorder.h"

namespace g3n {

const char* finish_reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop: return "stop";
    case FinishReason::kLength: return "length";
    case FinishReason::kCancelled: return "cancelled";
  }
  return "?";
}

namespace {

constexpr std::chrono::milliseconds kLook{10};  // how often a waiting call looks at the caller's flag

void check_options(const EngineOptions& o) {
  const auto fail = [](const std::string& what) { throw Error(ErrorCode::kInvalidArgument, what); };
  const auto range = [&](const char* name, int64_t value, int64_t least, int64_t most, const char* zero) {
    if (value < least || value > most)
      fail(std::string(name) + ": expected " + std::to_string(least) + zero + " to " + std::to_string(most) + ", got " +
           std::to_string(value));
  };
  if (o.model.empty()) fail("model: expected a checkpoint folder or the name of a cached one, got nothing");
  range("threads", o.threads, 0, 1024, " (all cores)");
  range("workers", o.workers, 1, 256, "");
  range("max sequences", o.max_sequences, 1, 4096, "");
  range("chunk", o.chunk, 1, 65536, "");
  check_image_side(o.image_size);
  range("kv_ram", o.kv_ram, 0, INT64_MAX, " (half of what is free)");
  range("cache_ram", o.cache_ram, -1, INT64_MAX, " (all that nobody runs in)");
  range("media_cache", o.media_cache, 0, INT64_MAX, "");
  range("max image side", o.max_image_side, 0, kMaxImageSide, " (the library's)");
  range("max image pixels", o.max_image_pixels, 0, kMaxImagePixels, " (the library's)");
  if (!(o.max_decode_seconds >= 0))
    fail("max decode seconds: expected 0 (no limit) or more, got " + std::to_string(o.max_decode_seconds));
  if (o.context < 0) fail("context: expected 0 (the checkpoint's) or more, got " + std::to_string(o.context));
  if (!std::isfinite(o.max_step_ms) || o.max_step_ms <= 0)
    fail("max step: expected a positive number of milliseconds, got " + std::to_string(o.max_step_ms));
}

TokenTexts token_texts(const Tokenizer& tokenizer) {
  const SpecialTokens& special = tokenizer.special();
  const auto text = [&](int32_t id) { return id < 0 ? "" : tokenizer.piece(id); };
  return {text(special.bos), text(special.eos), text(special.pad), text(special.image_soft), text(special.audio_soft)};
}

}  // namespace

// ---- opening --------------------------------------------------------------------------------------------------------

void Engine::Impl::open(const EngineOptions& options) {
  const Log log(options.on_warning);
  const ModelPaths paths = find_model({.model = options.model,
                                       .mmproj = options.mmproj,
                                       .hub_caches = options.hub_caches,
                                       .ollama_folders = options.ollama_folders},
                                      log);
  checkpoint = std::make_unique<OpenedModel>(paths, options);
  info.files = model_files(paths);
  const int64_t most = checkpoint->numbers().max_positions;
  if (options.context > most)
    throw Error(ErrorCode::kInvalidArgument, "context: expected at most " + std::to_string(most) +
                                                 " (max_position_embeddings), got " + std::to_string(options.context));
  context = options.context ? options.context : most;
  image_size = options.image_size;
}

void Engine::Impl::start(const EngineOptions& options, bool has_encoders) {
  const ModelNumbers& numbers = checkpoint->numbers();
  if (options.media_cache > 0) media_cache = std::make_shared<MediaCache>(options.media_cache);
  builder = std::make_unique<PromptBuilder>(
      *checkpoint, context, options.image_size,
      [this, has_encoders](MediaKind kind) {
        if (has_encoders) checkpoint->load_encoder(kind);
      },
      media_cache ? KnownMedia([this](const ContentHash& content) { return media_cache->find(content); }) : nullptr);
  info.path = checkpoint->path();
  info.has_tokenizer = checkpoint->has_tokenizer();
  info.has_vision = checkpoint->kinds().of(MediaKind::kImage).has_encoder;
  info.has_audio = checkpoint->kinds().of(MediaKind::kAudio).has_encoder;
  info.context = context;
  info.vocab_size = numbers.vocab_size;
  info.hidden_size = numbers.hidden_size;
  info.image_size = options.image_size ? options.image_size : numbers.image_size;
  info.weight_bytes = checkpoint->packed_bytes();
  info.version = G3N_VERSION;
  info.recipe = checkpoint->recipe();
  info.chat_template = checkpoint->chat_template();
  if (info.has_tokenizer) info.tokens = token_texts(checkpoint->tokenizer());
  info.image_tokens = checkpoint->kinds().of(MediaKind::kImage).soft_tokens;
  info.clip_tokens = checkpoint->kinds().of(MediaKind::kAudio).soft_tokens;
  info.least_clip_samples = numbers.least_clip_samples;
  info.most_clip_samples = numbers.most_clip_samples;
  if (!model) return;
  scheduler = std::make_unique<Scheduler>(
      *model, SchedulerOptions{.tokenizer = tokenizer(),
                               .context = context,
                               .chunk = options.chunk,
                               .max_sequences = options.max_sequences,
                               .max_step_seconds = options.max_step_ms / 1000,
                               .workers = options.workers,
                               .kv_bytes = kv_bytes(options),
                               .idle_kv_bytes = options.cache_ram < 0 ? INT64_MAX : options.cache_ram,
                               .media_cache = media_cache,
                               .after_media = options.release_encoders && has_encoders
                                                  ? std::function<void()>([this] { checkpoint->release_encoders(); })
                                                  : nullptr,
                               .after_step = [] { throw_if_damaged(); }});
}

// Asked for: at least one whole context. Not asked for: never a reason not to start.
int64_t Engine::Impl::kv_bytes(const EngineOptions& options) const {
  const int64_t whole = model->cache_bytes(context);
  if (options.kv_ram == 0) return std::max(free_memory() / 2, whole);
  if (options.kv_ram >= whole) return options.kv_ram;
  int64_t fits = 0;
  for (int64_t step = context; step > 0; step /= 2)
    while (fits + step <= context && model->cache_bytes(fits + step) <= options.kv_ram) fits += step;
  throw Error(ErrorCode::kInvalidArgument, "kv_ram: expected room for one context of " + std::to_string(context) +
                                               " positions (" + std::to_string(whole) + " bytes), got " +
                                               std::to_string(options.kv_ram) + ": a context of " +
                                               std::to_string(fits) + " fits, or a smaller type of the KV cache");
}

namespace {

void expect_wanted(const std::atomic<bool>* cancelled) {
  if (cancelled && cancelled->load(std::memory_order_relaxed))
    throw Error(ErrorCode::kCancelled, "loading was cancelled");
}

// With a progress that also looks at the flag.
EngineOptions heeding_cancel(EngineOptions options) {
  if (!options.cancelled) return options;
  options.on_progress = [cancelled = options.cancelled, told = std::move(options.on_progress)](
                            std::int64_t done_bytes, std::int64_t total_bytes) {
    expect_wanted(cancelled);
    if (told) told(done_bytes, total_bytes);
  };
  return options;
}

}  // namespace

Engine::Impl::Impl(const EngineOptions& given) : chunk(given.chunk) {
  const auto begin = std::chrono::steady_clock::now();
  const EngineOptions options = heeding_cancel(given);
  expect_wanted(options.cancelled);
  open(options);
  expect_wanted(options.cancelled);
  if (options.load_weights) {
    CpuUse use;
    model = checkpoint->load(options, use);
    info.kernels = use.kernels;
    info.threads = use.threads;
    if (options.preload_encoders)
      for (const MediaKindFacts& kind : checkpoint->kinds().all())
        if (kind.has_encoder) {
          expect_wanted(options.cancelled);
          checkpoint->load_encoder(kind.kind);
        }
  } else {
    info.kernels = kernel_table_name();
  }
  start(options, true);
  info.load_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

Engine::Impl::Impl(const EngineOptions& options, std::unique_ptr<LanguageModel> own) : chunk(options.chunk) {
  open(options);
  model = std::move(own);
  info.kernels = "none";
  start(options, false);
}

Scheduler& Engine::Impl::running() {
  if (!scheduler)
    throw Error(ErrorCode::kUnsupported,
                "this engine was opened without weights (EngineOptions::load_weights): it makes tokens, not answers");
  return *scheduler;
}

JobSetup Engine::Impl::setup_of(AnswerOptions options, std::shared_ptr<EventSink> sink) const {
  JobSetup setup;
  setup.stop_ids = stop_ids(options);
  if (options.prompt_logprobs >= 0)
    setup.logits = WantedLogits{.scores = std::make_shared<PromptScores>(0, options.prompt_logprobs)};
  setup.cache_salt = options.cache_salt;
  setup.client = options.client;
  setup.options = std::move(options);
  setup.options.cancelled = nullptr;
  setup.sink = std::move(sink);
  return setup;
}

std::vector<int32_t> Engine::Impl::stop_ids(const AnswerOptions& options) const {
  check_answer_options(options);
  if (options.ignore_stop_ids) return {};
  std::vector<int32_t> ids = options.stop_ids.empty() ? checkpoint->generation().stop_ids : options.stop_ids;
  ids.insert(ids.end(), options.extra_stop_ids.begin(), options.extra_stop_ids.end());
  return ids;
}

void Engine::Impl::wait(Job& job, const std::atomic<bool>* cancelled, EventRelay* relay) const {
  const auto time = cancelled ? kLook : std::chrono::milliseconds(1000);
  while (relay ? relay->pass_on(time) : !job.wait_for(time))
    if (cancelled && cancelled->load(std::memory_order_relaxed)) {
      job.cancel();
      cancelled = nullptr;  // told once
    }
  job.wait();
}

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::~Engine() = default;

std::shared_ptr<Engine> Engine::open(const EngineOptions& options) {
  check_options(options);
  return std::shared_ptr<Engine>(new Engine(std::make_unique<Impl>(options)));
}

std::shared_ptr<Engine> EngineAccess::open_over(std::unique_ptr<LanguageModel> model, const EngineOptions& options) {
  check_options(options);
  return std::shared_ptr<Engine>(new Engine(std::make_unique<Engine::Impl>(options, std::move(model))));
}

// ---- questions ------------------------------------------------------------------------------------------------------

const ModelInfo& Engine::info() const { return impl_->info; }
const Sampling& Engine::default_sampling() const { return impl_->checkpoint->generation().sampling; }
const std::vector<std::int32_t>& Engine::default_stop_ids() const { return impl_->checkpoint->generation().stop_ids; }

std::vector<std::int32_t> Engine::encode(std::string_view text, ControlTokens control) const {
  return impl_->checkpoint->tokenizer().encode(text, {.control = control});
}
std::string Engine::decode(const std::vector<std::int32_t>& ids, bool skip_special) const {
  return impl_->checkpoint->tokenizer().decode(ids, skip_special);
}
std::string Engine::piece(std::int32_t id) const { return impl_->checkpoint->tokenizer().piece(id); }
std::int32_t Engine::id_of(std::string_view piece) const { return impl_->checkpoint->tokenizer().id(piece); }
std::int32_t Engine::pieces() const { return impl_->checkpoint->tokenizer().vocab_size(); }
bool Engine::is_special(std::int32_t id) const { return impl_->checkpoint->tokenizer().is_special(id); }
std::string Engine::bytes_of(std::int32_t id) const {
  const Tokenizer& tokenizer = impl_->checkpoint->tokenizer();
  const int byte = tokenizer.byte_of(id);
  return byte >= 0 ? std::string(1, static_cast<char>(byte)) : tokenizer.decode(std::span(&id, 1));
}

std::string Engine::render(const ChatPrompt& prompt) const { return impl_->builder->render(prompt); }
std::vector<std::int32_t> Engine::tokenize(const Prompt& prompt) const { return impl_->builder->tokenize(prompt); }
IdsPrompt Engine::as_ids(const ChatPrompt& prompt) const { return impl_->builder->as_ids(prompt); }

Stats Engine::stats() const { return impl_->scheduler ? impl_->scheduler->stats() : Stats{}; }

// ---- requests -------------------------------------------------------------------------------------------------------

Ticket Engine::submit(Request request, std::shared_ptr<EventSink> sink) {
  return submit(std::make_shared<const Prompt>(std::move(request.prompt)), std::move(request.options), std::move(sink));
}

Ticket Engine::submit(std::shared_ptr<const Prompt> prompt, AnswerOptions options, std::shared_ptr<EventSink> sink) {
  Scheduler& scheduler = impl_->running();
  if (!prompt) throw Error(ErrorCode::kInvalidArgument, "prompt: expected one, got null");
  JobSetup setup = impl_->setup_of(std::move(options), std::move(sink));
  setup.plan = [builder = impl_->builder.get(), prompt = std::move(prompt)] { return builder->plan(*prompt); };
  return Ticket(std::make_shared<Ticket::State>(Ticket::State{scheduler.submit(std::move(setup))}));
}

Answer Engine::generate(const Request& request, EventSink* sink) {
  const auto relay = sink ? std::make_shared<EventRelay>(*sink) : nullptr;
  const Ticket ticket = submit(request, relay);
  impl_->wait(*ticket.state_->job, request.options.cancelled, relay.get());
  return ticket.answer();
}

PreparedPrompt Engine::prepare(const Prompt& prompt, const std::atomic<bool>* cancelled) {
  JobSetup setup;
  setup.plan = [this, &prompt] { return impl_->builder->plan(prompt); };
  setup.wants_prompt_only = true;
  const std::shared_ptr<Job> job = impl_->running().submit(std::move(setup));
  impl_->wait(*job, cancelled);
  job->answer();
  return *job->prompt();
}

namespace {

// Rows of logits on their way from the scheduler's thread to the one that waits; the job pauses until they are fetched.
class RowRelay {
 public:
  void put(int64_t position, View<const float, 2> rows) {
    std::lock_guard lock(mutex_);
    for (int64_t i = 0; i < rows.dim[0]; ++i) positions_.push_back(position + i);
    rows_.insert(rows_.end(), rows.data, rows.data + rows.size());
    changed_.notify_one();
  }
  bool is_full() const {
    std::lock_guard lock(mutex_);
    return !positions_.empty();
  }
  // Whether there was something. f(position, row).
  template <typename F>
  bool fetch(std::chrono::milliseconds time, F&& f) {
    std::vector<float> rows;
    std::vector<int64_t> positions;
    {
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, time, [this] { return !positions_.empty(); });
      if (positions_.empty()) return false;
      rows.swap(rows_);
      positions.swap(positions_);
    }
    const size_t width = rows.size() / positions.size();
    for (size_t i = 0; i < positions.size(); ++i)
      f(positions[i], std::span<const float>(rows).subspan(i * width, width));
    return true;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<float> rows_;
  std::vector<int64_t> positions_;
};

// The prompt's first `count` tokens.
PreparedPrompt beginning_of(const PreparedPrompt& prompt, std::int64_t count) {
  PreparedPrompt out = prompt;
  out.ids.resize(static_cast<size_t>(count));
  out.token_types.resize(static_cast<size_t>(count));
  std::erase_if(out.soft, [&](const SoftSpan& span) { return span.first >= count; });
  if (!out.soft.empty()) out.soft.back().count = std::min(out.soft.back().count, count - out.soft.back().first);
  return out;
}

void check_positions(std::span<const std::int64_t> positions, std::int64_t tokens) {
  if (positions.empty()) throw Error(ErrorCode::kInvalidArgument, "logits: expected positions, found none");
  for (size_t i = 0; i < positions.size(); ++i) {
    if (positions[i] < 0 || positions[i] >= tokens)
      throw Error(ErrorCode::kInvalidArgument, "logits: expected positions of the prompt (0 to " +
                                                   std::to_string(tokens - 1) + "), got " +
                                                   std::to_string(positions[i]));
    if (i > 0 && positions[i] <= positions[i - 1])
      throw Error(ErrorCode::kInvalidArgument, "logits: expected ascending positions, got " +
                                                   std::to_string(positions[i]) + " behind " +
                                                   std::to_string(positions[i - 1]));
  }
}

}  // namespace

void Engine::logits(const PreparedPrompt& prompt, std::span<const std::int64_t> positions,
                    const std::function<void(std::int64_t, std::span<const float>)>& on_logits,
                    const std::atomic<bool>* cancelled) {
  Scheduler& scheduler = impl_->running();
  check_positions(positions, static_cast<std::int64_t>(prompt.ids.size()));
  const auto needed = std::make_shared<const PreparedPrompt>(beginning_of(prompt, positions.back() + 1));
  const auto relay = std::make_shared<RowRelay>();
  JobSetup setup;
  setup.plan = [this, needed] { return impl_->builder->plan(needed); };
  setup.wants_answer = false;
  setup.logits =
      WantedLogits{.first = positions.front(),
                   .positions = {positions.begin(), positions.end()},
                   .on_rows = [relay](int64_t position, View<const float, 2> rows) { relay->put(position, rows); }};
  setup.is_paused = [relay] { return relay->is_full(); };
  const std::shared_ptr<Job> job = scheduler.submit(std::move(setup));
  try {
    for (bool ended = false; !ended;) {
      ended = job->wait_for(std::chrono::milliseconds(0));
      if (cancelled && cancelled->load(std::memory_order_relaxed)) job->cancel();
      while (relay->fetch(ended ? std::chrono::milliseconds(0) : kLook, on_logits)) job->wake_up();
    }
  } catch (...) {  // the caller's
    job->cancel();
    job->wait();
    throw;
  }
  job->answer();
}

std::vector<Tap> Engine::trace(const Prompt& prompt, std::span<const std::string> globs, std::int64_t most_bytes,
                               const std::atomic<bool>* cancelled) {
  Scheduler& scheduler = impl_->running();
  std::vector<Tap> taps;
  std::int64_t bytes = 0;
  TapRecorder recorder(globs, /*in_pieces=*/true,
                       [&](const std::string& name, const std::vector<int64_t>& dims, std::span<const float> values) {
                         bytes += static_cast<std::int64_t>(values.size_bytes());
                         if (bytes > most_bytes)
                           throw Error(ErrorCode::kInvalidArgument, "trace: the taps take more than " +
                                                                        std::to_string(most_bytes) + " bytes (at " +
                                                                        name + "): expected fewer taps or tokens");
                         taps.push_back({name, dims, {values.begin(), values.end()}});
                       });
  JobSetup setup;
  setup.plan = [this, &prompt] { return impl_->builder->plan(prompt, /*encodes_all=*/true); };
  setup.wants_answer = false;
  setup.shares_prefix = false;
  setup.logits = WantedLogits{.first = 0, .on_rows = {}};
  setup.taps = &recorder;
  const std::shared_ptr<Job> job = scheduler.submit(std::move(setup));
  impl_->wait(*job, cancelled);
  job->answer();
  recorder.finish();
  for (const std::string& glob : recorder.unmatched_globs())
    throw Error(ErrorCode::kInvalidArgument, "trace: no tap matches '" + glob + "'");
  return taps;
}

}  // namespace g3n
