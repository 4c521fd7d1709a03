#include "server/server.h"

#include <atomic>
#include <csignal>
#include <random>
#include <thread>
#include <utility>

#include "server/endpoints.h"
#include "server/generation.h"

namespace g3n::server {

using std::chrono::milliseconds;

class Server::Impl : public HttpHandler {
 public:
  Impl(ServerOptions options, std::function<std::shared_ptr<Engine>()> load)
      : service_(std::move(options)),
        http_(http_options(service_.options), *this),
        access_(service_.options.access, http_.is_loopback()),
        load_(std::move(load)) {
    if (!http_.is_loopback() && !access_.needs_key() && !service_.options.allow_anonymous)
      throw Error(ErrorCode::kInvalidArgument,
                  "host " + http_.host() +
                      ": expected an API key (--api-key-file) or --allow-anonymous, since others reach it");
    service_.has_many_keys = access_.keys() > 1;
    loader_ = std::thread([this] { load_engine(); });
  }

  ~Impl() override {
    if (loader_.joinable()) loader_.join();
    service_.stop_workers();  // what they answer goes through http_
  }

  std::uint16_t port() const { return http_.port(); }
  bool is_ready() const { return service_.state() == Service::State::kReady; }

  void run() {
    http_.run();
    loader_.join();
    if (failure_) std::rethrow_exception(failure_);
  }

  void shut_down() {
    http_.post([this] { begin_end(); });
  }

  // ---- HttpHandler ----
  std::optional<HttpResponse> refuse(const HttpRequest& request) override {
    Call call(service_, nullptr);
    call.request.method = request.method;
    try {
      check(request, call);
      return std::nullopt;
    } catch (const ApiError& error) {
      service_.metrics.add("g3n_rejected_total", "code=" + label_value(error.code));
      call.note(error.status, "", error.code);
      HttpResponse response = error_response(error, call.route ? call.route->dialect() : Dialect::kOpenAI, call.id);
      if (!allowed_.empty()) response.headers.emplace_back("Allow", std::exchange(allowed_, ""));
      add_common_headers(response, call.id, call.origin);
      if (error.status == 401) response.delay = milliseconds(200 + random_() % 100);
      return response;
    }
  }

  void handle(HttpRequest request, std::shared_ptr<HttpExchange> exchange) override {
    const auto call = std::make_shared<Call>(service_, exchange);
    try {
      check(request, *call);
    } catch (const ApiError& error) {  // the state changed while the body came
      return call->reply(error);
    }
    call->request = std::move(request);
    guarded(*call, [&] { dispatch(call); });
  }

  HttpResponse problem(int status, const std::string& message) override {
    const char* code = status == 408   ? "request_timeout"
                       : status == 413 ? "request_too_large"
                       : status == 414 ? "uri_too_long"
                       : status == 429 ? "queue_full"
                       : status == 431 ? "headers_too_large"
                       : status == 503 ? "overloaded"
                                       : "invalid_value";
    service_.metrics.add("g3n_rejected_total", "code=" + label_value(code));
    ApiError error(status, code, message);
    if (status == 429 || status == 503) error.retry_seconds = 1;
    const std::string id = "req_" + random_name(24);
    HttpResponse response = error_response(error, Dialect::kOpenAI, id);
    add_common_headers(response, id, "");
    return response;
  }

 private:
  HttpOptions http_options(const ServerOptions& all) {
    HttpOptions options = all.http;
    options.limits.all_body_bytes = all.max_queue_bytes;  // as much again while they come
    options.on_signal = [this](int number) {
      if (number == SIGHUP)
        read_keys();
      else
        begin_end();
    };
    return options;
  }

  // A file that cannot be read leaves the keys as they are.
  void read_keys() {
    const ServerOptions& options = service_.options;
    if (!options.read_keys) return;
    std::string outcome = "the API keys are read again";
    try {
      access_.set_keys(options.read_keys());
      service_.has_many_keys = access_.keys() > 1;
    } catch (const std::exception& error) {
      outcome = std::string("the API keys stay as they were: ") + error.what();
    }
    if (options.on_log) options.on_log(outcome);
  }

  void load_engine() {
    try {
      service_.set_engine(load_());
      if (service_.options.on_ready) service_.options.on_ready(service_.engine());
    } catch (...) {
      failure_ = std::current_exception();
      http_.stop();
    }
  }

  // Everything that is known from the header alone.
  void check(const HttpRequest& request, Call& call) {
    call.id = request_id_of(request);
    const std::string* origin = request.header("origin");
    if (!access_.allows_host(request))
      throw ApiError(403, "host_not_allowed",
                     "the host " + quoted(*request.header("host")) + " is not known here: --allowed-host adds names");
    if (!access_.allows_origin(request))
      throw ApiError(403, "origin_not_allowed",
                     "the origin " + quoted(*origin) + " is not allowed: --cors adds origins");
    if (origin) call.origin = *origin;
    const std::string path = path_of_target(request.target);
    if (request.method == "OPTIONS") return;
    const Routed routed = find_route(request.method, path);
    call.rest = routed.rest;
    call.route = routed.route;
    if (!call.route) {
      if (routed.allowed.empty()) throw ApiError(404, "not_found", "no endpoint has the path " + quoted(path));
      for (const std::string& method : routed.allowed) allowed_ += method + ", ";
      allowed_ += "OPTIONS";
      throw ApiError(405, "method_not_allowed", "the path takes " + allowed_ + ", found " + quoted(request.method));
    }
    if (access_.needs_key()) {
      const std::optional<std::string> name = access_.key_name(request);
      if (!name && call.route->needs_key)
        throw ApiError(401, "invalid_api_key",
                       "expected an API key (Authorization: Bearer KEY), found none that is known");
      call.key_name = name.value_or("");
    }
    check_endpoint(*call.route);
    const std::string* encoding = request.header("content-encoding");
    if (encoding && *encoding != "identity")
      throw ApiError(415, "unsupported_media_type",
                     "expected a body without Content-Encoding, found " + quoted(*encoding));
    const std::string* type = request.header("content-type");
    if (request.has_body && type && type->compare(0, 10, "multipart/") == 0)
      throw ApiError(415, "unsupported_media_type", "expected application/json, found " + quoted(*type));
    if (request.has_body && service_.body_bytes.load() > static_cast<std::int64_t>(service_.options.max_queue_bytes)) {
      ApiError error(429, "queue_full", "the bodies and media of waiting requests have reached their limit");
      error.retry_seconds = service_.retry_seconds();
      throw error;
    }
  }

  void check_endpoint(const Route& route) const {
    const Endpoint endpoint = route.endpoint;
    if (endpoint == Endpoint::kNotBuilt)
      throw ApiError(404, "unsupported_endpoint", "this build does not have " + route.path + ": " + route.note);
    if (endpoint == Endpoint::kNoOutput) throw ApiError(404, "unsupported_endpoint", route.note);
    if (endpoint == Endpoint::kHealth || endpoint == Endpoint::kLive) return;
    if (endpoint == Endpoint::kRoot || endpoint == Endpoint::kWebFile) return;
    const Service::State state = service_.state();
    if (state == Service::State::kReady) return;
    const bool is_loading = state == Service::State::kLoading;
    ApiError error(503, is_loading ? "loading" : "draining",
                   is_loading ? "the model is being loaded" : "the server is shutting down");
    error.retry_seconds = is_loading ? 1 : 5;
    throw error;
  }

  void dispatch(const std::shared_ptr<Call>& call) {
    if (call->request.method == "OPTIONS") {
      HttpResponse response = preflight(call->request);
      call->reply(std::move(response));
      return;
    }
    switch (call->route->endpoint) {
      case Endpoint::kHealth: return health(*call);
      case Endpoint::kLive: return live(*call);
      case Endpoint::kRoot: return root(*call);
      case Endpoint::kWebFile: return web_file(*call);
      case Endpoint::kMetrics: return metrics(*call, http_.connections());
      case Endpoint::kModels: return models(*call);
      case Endpoint::kModel: return model(*call);
      case Endpoint::kProps: return props(*call);
      default: break;
    }
    call->count_bytes(call->request.body.size());
    const Endpoint endpoint = call->route->endpoint;
    if (endpoint == Endpoint::kChat || endpoint == Endpoint::kCompletions)
      call->exchange->on_gone([weak = std::weak_ptr(call)] {  // until its Generation asks
        if (const auto waiting = weak.lock()) waiting->is_gone = true;
      });
    service_.work(call->key_name, [call] {
      if (call->is_gone) return call->note_gone("queued");
      if (call->service.options.logs_content) call->log("asked: " + call->request.body);
      guarded(*call, [&] {
        switch (call->route->endpoint) {
          case Endpoint::kTokenize: return tokenize(*call);
          case Endpoint::kDetokenize: return detokenize(*call);
          case Endpoint::kTokenizerInfo: return tokenizer_info(*call);
          case Endpoint::kApplyTemplate: return apply_template(*call);
          case Endpoint::kChat: return chat_completions(call);
          case Endpoint::kChatInputTokens: return chat_input_tokens(*call);
          case Endpoint::kCompletions: return completions(call);
          default: throw ApiError(404, "not_found", "no such endpoint");
        }
      });
    });
  }

  // ---- the end, on the I/O thread ----
  void begin_end() {
    if (++ends_ > 1) {
      cut_off();
      return;
    }
    service_.set_draining();
    http_.stop_accepting();
    http_.after(service_.options.drain, [this] { cut_off(); });
    wait_for_end();
  }

  void cut_off() {
    for (const auto& generation : service_.running()) generation->cancel(Generation::Cause::kDraining);
  }

  void wait_for_end() {
    constexpr milliseconds kLook{20}, kLastWords{100};
    if (service_.running_count() > 0 || service_.body_bytes.load() > 0) {
      http_.after(kLook, [this] {
        if (ends_ > 1) cut_off();
        wait_for_end();
      });
      return;
    }
    http_.after(kLastWords, [this] { http_.stop(); });  // the last responses are on their way
  }

  Service service_;
  std::minstd_rand random_{std::random_device{}()};
  std::string allowed_;  // of the 405 that is being made
  HttpServer http_;
  Access access_;
  std::function<std::shared_ptr<Engine>()> load_;
  std::thread loader_;
  std::exception_ptr failure_;
  std::atomic<int> ends_{0};
};

Server::Server(ServerOptions options, std::function<std::shared_ptr<Engine>()> load)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(load))) {}
Server::~Server() = default;

std::uint16_t Server::port() const { return impl_->port(); }
void Server::run() { impl_->run(); }
void Server::shut_down() { impl_->shut_down(); }
bool Server::is_ready() const { return impl_->is_ready(); }

}  // namespace g3n::server
