// What all endpoints share: the options, the engine once it is loaded, workers, places in the queue; and Call, one
// request on its way through an endpoint.
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/fair_queue.h"
#include "g3n/engine.h"
#include "server/access.h"
#include "server/http.h"
#include "server/limits.h"
#include "server/messages.h"
#include "server/metrics.h"
#include "server/router.h"

namespace g3n::server {

struct ServerOptions {
  HttpOptions http;
  AccessOptions access;
  bool allow_anonymous = false;  // an address that others reach, without a key
  std::string model_id;          // what clients call the model; never a path
  std::vector<std::string> aliases;
  bool is_strict = false;        // a field without effect is an error
  bool is_strict_model = false;  // so is another model's name
  std::string variant;           // what besides version and recipe makes results differ: part of system_fingerprint
  std::int64_t max_queue = 128;  // requests that wait
  std::int64_t max_sequences = 16;
  std::size_t max_queue_bytes = std::size_t{512} << 20;  // of bodies
  bool caches_per_key = false;                           // prefixes are shared among requests of the same key only
  RequestLimits limits;
  int workers = 2;
  std::chrono::milliseconds request_timeout{0};    // 0: none
  std::chrono::milliseconds drain{30'000};         // what running requests get at the end
  std::function<void(const Engine&)> on_ready;     // the model is loaded, requests are answered; its own thread
  std::function<void(const std::string&)> on_log;  // one line per request; any thread
  bool is_log_json = false;
  bool logs_content = false;  // also what is asked and answered
  // The keys as they are now, when on_signal's SIGHUP asks; empty: they stay.
  std::function<std::vector<ApiKey>()> read_keys;
};

// Facts about the loaded model that the engine is asked once.
struct ModelFacts {
  std::int64_t context = 0, created = 0;
  std::size_t longest_piece = 1;  // bytes
  std::int32_t image_id = -1, audio_id = -1;
  std::string bos;
  std::string recipe;  // of the weights, and ServerOptions::variant
};

class Generation;
struct Call;

class Service {
 public:
  explicit Service(ServerOptions options);
  // Waits for the workers.
  ~Service();

  const ServerOptions options;
  Metrics metrics;

  // ---- the engine ----
  enum class State { kLoading, kReady, kDraining };
  State state() const { return state_.load(); }
  void set_engine(std::shared_ptr<Engine> engine);
  void set_draining() { state_.store(State::kDraining); }
  Engine& engine() const { return *engine_; }
  const ModelFacts& facts() const { return facts_; }
  MediaRules media_rules() const;
  std::string fingerprint() const;
  // Throws ApiError 404 model_not_found for a name that is not served.
  void check_model(Fields& fields) const;

  // ---- workers ----
  void work(const std::string& client, std::function<void()> task);  // clients by turns
  void stop_workers();                                               // waits for what they do

  // ---- places ---- enter throws ApiError 429 queue_full; of several keys none gets more than half of the queue
  std::atomic<bool> has_many_keys{false};
  void enter(const std::shared_ptr<Generation>& generation, const std::string& key_name);
  void leave(const std::shared_ptr<Generation>& generation, double seconds);
  std::vector<std::shared_ptr<Generation>> running() const;
  std::int64_t running_count() const;
  std::atomic<std::int64_t> body_bytes{0};  // of requests in work
  int retry_seconds() const;

 private:
  void run_worker();

  std::atomic<State> state_{State::kLoading};
  std::shared_ptr<Engine> engine_;
  ModelFacts facts_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  FairQueue<std::function<void()>> tasks_;
  std::uint64_t next_task_ = 0;
  bool stop_ = false;
  std::map<std::shared_ptr<Generation>, std::string> running_;  // and who asked
  double mean_seconds_ = 1;
  std::vector<std::thread> workers_;
};

struct Call {
  using Clock = std::chrono::steady_clock;

  Call(Service& s, std::shared_ptr<HttpExchange> e) : service(s), exchange(std::move(e)) {}

  Service& service;
  HttpRequest request;
  std::shared_ptr<HttpExchange> exchange;
  const Route* route = nullptr;
  std::string rest, id, origin, key_name;
  std::vector<std::string> ignored;
  Clock::time_point start = Clock::now();
  std::size_t counted_bytes = 0;
  std::atomic<bool> is_gone{false};  // its client went away before it had a Generation

  ~Call();
  void reply(HttpResponse response);
  void reply(const ApiError& error);
  void stream(HttpResponse head, std::shared_ptr<HttpStream> source);
  // Bytes that it holds until its end, among those of all requests in work. Throws ApiError 429 if they are too many.
  void count_bytes(std::size_t bytes);
  // At the end: a line of log, metrics. tokens: "12+34", or empty.
  void note(int status, const std::string& tokens, const std::string& finish) const;
  // A line of log beside that one; any text.
  void log(const std::string& what) const;
  // Its client went away while it was in this stage.
  void note_gone(const std::string& stage) const;

 private:
  void finish_head(HttpResponse& response) const;
};

// Runs an endpoint; whatever it throws becomes the reply.
void guarded(Call& call, const std::function<void()>& endpoint);

}  // namespace g3n::server
