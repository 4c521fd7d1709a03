#include "server/service.h"

#include <algorithm>
#include <cmath>
#include <ctime>

#include "core/printable.h"
#include "core/utf8.h"

namespace g3n::server {
namespace {

std::int32_t id_of(const Engine& engine, const std::string& text) {
  const std::vector<std::int32_t> ids = engine.encode(text, ControlTokens::kParse);
  return ids.size() == 1 ? ids[0] : -1;
}

ModelFacts facts_of(const Engine& engine, const std::string& variant) {
  if (!engine.info().has_tokenizer)
    throw Error(ErrorCode::kUnsupported, "the checkpoint has no tokenizer, which a server cannot do without");
  ModelFacts facts;
  facts.context = engine.info().context;
  facts.created = static_cast<std::int64_t>(std::time(nullptr));
  const ModelInfo& info = engine.info();
  facts.image_id = id_of(engine, info.tokens.image);
  facts.audio_id = id_of(engine, info.tokens.audio);
  facts.bos = info.tokens.bos;
  facts.recipe = info.recipe + variant;
  for (std::int64_t id = 0; id < engine.info().vocab_size; ++id) {
    try {
      facts.longest_piece = std::max(facts.longest_piece, engine.piece(static_cast<std::int32_t>(id)).size());
    } catch (const Error&) {
      break;  // the embedding table has rows that the tokenizer does not know
    }
  }
  return facts;
}

}  // namespace

Service::Service(ServerOptions o) : options(std::move(o)) {
  for (int i = 0; i < std::max(1, options.workers); ++i) workers_.emplace_back([this] { run_worker(); });
}

Service::~Service() { stop_workers(); }

void Service::stop_workers() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  for (std::thread& worker : workers_) worker.join();
  workers_.clear();
}

void Service::set_engine(std::shared_ptr<Engine> engine) {
  facts_ = facts_of(*engine, options.variant);
  engine_ = std::move(engine);
  State loading = State::kLoading;
  state_.compare_exchange_strong(loading, State::kReady);
}

MediaRules Service::media_rules() const {
  const ModelInfo& info = engine_->info();
  return {.has_vision = info.has_vision,
          .has_audio = info.has_audio,
          .default_image_size = info.image_size,
          .most_messages = static_cast<std::size_t>(options.limits.messages),
          .most_media = static_cast<std::size_t>(options.limits.media)};
}

std::string Service::fingerprint() const { return std::string("g3n-") + G3N_VERSION + "-" + facts_.recipe; }

void Service::check_model(Fields& fields) const {
  const std::optional<std::string> name = fields.text("model");
  if (!name) return;
  if (name->empty()) fail_value("model", "a name", "an empty string");
  const auto& aliases = options.aliases;
  const bool is_known = *name == options.model_id || std::find(aliases.begin(), aliases.end(), *name) != aliases.end();
  const std::string of_slice = options.model_id + ":";
  if (name->compare(0, of_slice.size(), of_slice) == 0)
    throw ApiError(404, "model_not_found", "slices of the model are not supported by this build", "model");
  if (!is_known && options.is_strict_model)
    throw ApiError(404, "model_not_found",
                   "expected the model " + quoted(options.model_id) + ", found " + quoted(*name), "model");
}

void Service::run_worker() {
  for (;;) {
    std::function<void()> task;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stop_ || !tasks_.empty(); });
      if (stop_) return;
      task = tasks_.pop();
    }
    task();
  }
}

void Service::work(const std::string& client, std::function<void()> task) {
  {
    std::lock_guard lock(mutex_);
    tasks_.push(client, next_task_++, std::move(task));
  }
  changed_.notify_one();
}

int Service::retry_seconds() const {
  std::lock_guard lock(mutex_);
  const double rounds =
      static_cast<double>(running_.size()) / static_cast<double>(std::max<std::int64_t>(1, options.max_sequences));
  return static_cast<int>(std::clamp(std::ceil(mean_seconds_ * rounds), 1.0, 60.0));
}

void Service::enter(const std::shared_ptr<Generation>& generation, const std::string& key_name) {
  const std::int64_t places = options.max_sequences + options.max_queue;
  const std::int64_t share = has_many_keys ? options.max_sequences + options.max_queue / 2 : places;
  std::string full = "the queue is full (" + std::to_string(options.max_queue) + " requests wait)";
  {
    std::lock_guard lock(mutex_);
    const std::int64_t own =
        std::count_if(running_.begin(), running_.end(), [&](const auto& one) { return one.second == key_name; });
    if (std::ssize(running_) < places && own < share) {
      running_.emplace(generation, key_name);
      return;
    }
    if (std::ssize(running_) < places)
      full = "this key's half of the queue is full (" + std::to_string(own) + " of its requests wait or run)";
  }
  ApiError error(429, "queue_full", full);
  error.retry_seconds = retry_seconds();
  throw error;
}

void Service::leave(const std::shared_ptr<Generation>& generation, double seconds) {
  std::lock_guard lock(mutex_);
  if (running_.erase(generation)) mean_seconds_ = 0.9 * mean_seconds_ + 0.1 * seconds;
}

std::vector<std::shared_ptr<Generation>> Service::running() const {
  std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<Generation>> all;
  for (const auto& [generation, key_name] : running_) all.push_back(generation);
  return all;
}

std::int64_t Service::running_count() const {
  std::lock_guard lock(mutex_);
  return static_cast<std::int64_t>(running_.size());
}

// ---- Call -----------------------------------------------------------------------------------------------------------

Call::~Call() { service.body_bytes -= static_cast<std::int64_t>(counted_bytes); }

void Call::count_bytes(std::size_t bytes) {
  counted_bytes += bytes;
  const std::int64_t all = service.body_bytes += static_cast<std::int64_t>(bytes);
  const bool is_alone = all == static_cast<std::int64_t>(counted_bytes);
  if (is_alone || all <= static_cast<std::int64_t>(service.options.max_queue_bytes)) return;
  ApiError error(429, "queue_full", "the bodies and media of waiting requests have reached their limit");
  error.retry_seconds = service.retry_seconds();
  throw error;
}

void Call::finish_head(HttpResponse& response) const {
  constexpr std::size_t kMostIgnored = 4096;  // bytes of the header
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start).count();
  response.headers.emplace_back("openai-processing-ms", std::to_string(ms));
  if (!ignored.empty()) {
    std::string list;
    std::size_t i = 0;
    for (; i < ignored.size() && list.size() + ignored[i].size() < kMostIgnored; ++i)
      list += (i ? ", " : "") + printable(ignored[i]);
    if (i < ignored.size()) list += " +" + std::to_string(ignored.size() - i);
    for (char& c : list)
      if (static_cast<unsigned char>(c) >= 0x7F) c = '?';
    response.headers.emplace_back("x-g3n-ignored", list);
  }
  add_common_headers(response, id, origin);
}

void Call::reply(HttpResponse response) {
  finish_head(response);
  exchange->respond(std::move(response));
}

void Call::reply(const ApiError& error) {
  service.metrics.add("g3n_rejected_total", "code=" + label_value(error.code));
  note(error.status, "", error.code);
  reply(error_response(error, route ? route->dialect() : Dialect::kOpenAI, id));
}

void Call::stream(HttpResponse head, std::shared_ptr<HttpStream> source) {
  finish_head(head);
  exchange->stream(std::move(head), std::move(source));
}

namespace {

std::string now_text() {
  char time[32];
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  return {time, std::strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

std::string or_dash(const std::string& text) { return text.empty() ? "-" : text; }

}  // namespace

void Call::note(int status, const std::string& tokens, const std::string& finish) const {
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  const std::string endpoint = route ? route->path : "none";
  service.metrics.add("g3n_requests_total",
                      "endpoint=" + label_value(endpoint) + ",status=\"" + std::to_string(status) + "\"");
  service.metrics.observe("g3n_request_seconds", "endpoint=" + label_value(endpoint), seconds);
  if (!service.options.on_log) return;
  const std::int64_t ms = std::lround(seconds * 1000);
  if (service.options.is_log_json) {
    const auto or_null = [](const std::string& text) { return text.empty() ? node(nullptr) : node(text); };
    service.options.on_log(to_json(node(JsonObject{{"time", node(now_text())},
                                                   {"id", node(id)},
                                                   {"key", or_null(key_name)},
                                                   {"method", node(request.method)},
                                                   {"endpoint", node(endpoint)},
                                                   {"status", node(status)},
                                                   {"tokens", or_null(tokens)},
                                                   {"ms", node(ms)},
                                                   {"finish", or_null(finish)}})));
    return;
  }
  service.options.on_log(now_text() + " " + id + " " + or_dash(printable(key_name)) + " " + printable(request.method) +
                         " " + endpoint + " " + std::to_string(status) + " " + or_dash(tokens) + " " +
                         std::to_string(ms) + "ms " + or_dash(finish));
}

void Call::note_gone(const std::string& stage) const {
  service.metrics.add("g3n_cancelled_total", "stage=" + label_value(stage));
  note(499, "", "gone");
}

void Call::log(const std::string& what) const {
  if (!service.options.on_log) return;
  service.options.on_log(
      service.options.is_log_json
          ? to_json(
                node(JsonObject{{"time", node(now_text())}, {"id", node(id)}, {"message", node(utf8_repaired(what))}}))
          : now_text() + " " + id + " " + printable(what));
}

void guarded(Call& call, const std::function<void()>& endpoint) {
  try {
    endpoint();
  } catch (const ApiError& error) {
    call.reply(error);
  } catch (const std::bad_alloc&) {
    ApiError error(503, "overloaded", "too little memory for this request");
    error.retry_seconds = call.service.retry_seconds();
    call.reply(error);
  } catch (const std::exception& error) {
    call.log("internal error: " + printable_start(error.what(), 400));
    call.reply(ApiError(500, "internal_error", "an internal error; the server's log has it under this request id"));
  }
}

}  // namespace g3n::server
