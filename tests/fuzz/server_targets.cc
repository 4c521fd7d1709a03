#include "fuzz/server_targets.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <stdexcept>
#include <thread>

#include "g3n/engine.h"
#include "server/endpoints.h"
#include "server/messages.h"
#include "support/source_path.h"

namespace g3n::fuzz {
namespace {

using Bytes = std::span<const uint8_t>;
using server::ApiError;

// ---- a request's head and framing, through a socket -----------------------------------------------------------------

class HeadHandler : public server::HttpHandler {
 public:
  std::optional<server::HttpResponse> refuse(const server::HttpRequest& request) override try {
    (void)server::request_id_of(request);
    (void)access_.allows_host(request);
    (void)access_.allows_origin(request);
    (void)access_.key_name(request);
    (void)server::preflight(request);
    const server::Routed routed = server::find_route(request.method, server::path_of_target(request.target));
    if (!routed.route) throw ApiError(404, "not_found", "no endpoint has the path " + server::quoted(request.target));
    return std::nullopt;
  } catch (const ApiError& error) {
    return server::error_response(error, server::Dialect::kOpenAI, "id");
  }
  void handle(server::HttpRequest request, std::shared_ptr<server::HttpExchange> exchange) override {
    exchange->respond({200, {}, std::to_string(request.body.size()), {}});
  }
  server::HttpResponse problem(int status, const std::string& message) override { return {status, {}, message, {}}; }

 private:
  server::Access access_{{.keys = {{"name", "secret"}}}, true};
};

// One server for all inputs.
class HeadServer {
 public:
  HeadServer() : path_("/tmp/g3n-fuzz-" + std::to_string(::getpid())), server_(options(path_), handler_) {
    thread_ = std::thread([this] { server_.run(); });
  }
  ~HeadServer() {
    server_.stop();
    thread_.join();
  }

  // Sends the bytes and reads until the server closes.
  void take(Bytes bytes) const {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof address.sun_path - 1);
    if (fd < 0 || ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
      throw std::runtime_error("cannot connect");
    for (std::size_t at = 0; at < bytes.size();) {
      const ssize_t n = ::send(fd, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
      if (n < 0 && errno == EINTR) continue;  // libFuzzer's clock
      if (n <= 0) break;
      at += static_cast<std::size_t>(n);
    }
    ::shutdown(fd, SHUT_WR);
    constexpr int kPatienceMs = 20'000;
    for (char buffer[65536];;) {
      pollfd waiting{fd, POLLIN, 0};
      const int ready = ::poll(&waiting, 1, kPatienceMs);
      if (ready == 0) std::abort();  // a connection that nobody ends
      const ssize_t n = ready > 0 ? ::recv(fd, buffer, sizeof buffer, 0) : -1;
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) break;
    }
    ::close(fd);
  }

 private:
  static server::HttpOptions options(const std::string& path) {
    server::HttpOptions options;
    options.unix_path = path;
    return options;
  }

  const std::string path_;
  HeadHandler handler_;
  server::HttpServer server_;
  std::thread thread_;
};

void run_http(Bytes bytes) {
  static const HeadServer server;
  server.take(bytes);
}

// ---- a body, up to what the engine is asked -------------------------------------------------------------------------

// Answers into nothing; what is to happen later happens at once.
class NoExchange : public server::HttpExchange {
 public:
  void respond(server::HttpResponse) override {}
  void stream(server::HttpResponse, std::shared_ptr<server::HttpStream> source) override {
    source_ = std::move(source);
  }
  void wake() override {
    std::string bytes;
    if (source_ && !source_->next(bytes)) source_.reset();
  }
  void on_gone(std::function<void()>) override {}
  void after(std::chrono::milliseconds, std::function<void()> callback) override { callback(); }
  void set_deadline(std::chrono::milliseconds, std::function<void()> callback) override { callback(); }

 private:
  std::shared_ptr<server::HttpStream> source_;
};

// The demo's tokenizer and template, and no weights: every request that is good so far ends in an error of the engine.
server::Service& service() {
  static server::Service all = [] {
    server::ServerOptions options;
    options.model_id = "demo";
    options.workers = 1;
    return server::Service(std::move(options));
  }();
  static const bool is_open = [] {
    EngineOptions options;
    options.model = source_path("models/demo");
    options.load_weights = false;
    all.set_engine(Engine::open(options));
    return true;
  }();
  (void)is_open;
  return all;
}

void run_body(Bytes bytes, void (*endpoint)(const std::shared_ptr<server::Call>&)) {
  const auto call = std::make_shared<server::Call>(service(), std::make_shared<NoExchange>());
  call->request.body = text_of(bytes);
  server::guarded(*call, [&] { endpoint(call); });
}

void run_chat_request(Bytes bytes) { run_body(bytes, server::chat_completions); }
void run_completion_request(Bytes bytes) { run_body(bytes, server::completions); }
void run_small_requests(Bytes bytes) {
  run_body(bytes, [](const std::shared_ptr<server::Call>& call) { server::tokenize(*call); });
  run_body(bytes, [](const std::shared_ptr<server::Call>& call) { server::detokenize(*call); });
  run_body(bytes, [](const std::shared_ptr<server::Call>& call) { server::apply_template(*call); });
  run_body(bytes, [](const std::shared_ptr<server::Call>& call) { server::chat_input_tokens(*call); });
}

void run_data_url(Bytes bytes) {
  const server::MediaRules rules{.has_vision = true, .has_audio = true};
  try {
    server::read_medium(text_of(bytes), "image_url", server::MediumKind::kImage, rules);
  } catch (const ApiError&) {
  }
}

std::string chat(const std::string& content, const std::string& more = "") {
  return R"({"messages":[{"role":"user","content":)" + content + "}]" + more + "}";
}

}  // namespace

std::vector<Target> server_targets() {
  const std::string host = "Host: localhost\r\n";
  return {
      {"http",
       run_http,
       {},
       {"GET / HTTP/1.1\r\n" + host + "\r\n", "HEAD /v1/models/a%2Fb?x=1 HTTP/1.0\r\n\r\n",
        "POST /v1/completions HTTP/1.1\r\n" + host +
            "Content-Length: 2\r\nOrigin: http://localhost:1\r\n\r\n{}GET /live HTTP/1.1\r\n\r\n",
        "POST /tokenize HTTP/1.1\r\n" + host +
            "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\nAccess-Control-Request-Headers: a\r\nOrigin: app://x\r\n\r\n",
        "GET http://a/%00 HTTP/1.1\r\nAuthorization: Bearer secret\r\nx-request-id: a.b\r\nConnection: close\r\n\r\n"}},
      {"chat_request",
       run_chat_request,
       {},
       {chat("\"hi\""), chat("null", R"(,"stream":true,"stream_options":{"include_usage":true},"n":2)"),
        chat(R"([{"type":"text","text":"a"},{"type":"input_audio","input_audio":{"data":"UklGRg==","format":"wav"}}])"),
        chat(R"([{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo=","detail":"low"}}])"),
        chat(R"([{"type":"file","file":{"file_data":"data:text/plain;base64,aGk=","filename":"a"}}])"),
        chat("\"<end_of_turn>\"",
             R"(,"logprobs":true,"top_logprobs":3,"logit_bias":{"7":-100},"stop":["a"],"seed":-1)"),
        R"({"messages":[{"role":"system","content":"s"},{"role":"assistant","content":"a"},{"role":"developer","content":"d"}],"max_tokens":5.0,"top_k":-1,"min_p":0.5,"x":{}})"}},
      {"completion_request",
       run_completion_request,
       {},
       {R"({"prompt":"a","max_tokens":0,"logprobs":2})", R"({"prompt":[1,2,3],"n":3,"best_of":3})",
        R"({"prompt":["a","b"],"stream":true})", R"({"prompt":[[1],[2,3]],"stop":"x"})",
        R"({"prompt":"<image_soft_token>","images":["data:image/png;base64,iVBORw0KGgo="]})"}},
      {"small_requests",
       run_small_requests,
       {},
       {R"({"content":"a<bos>b","add_special":true,"with_pieces":true})", R"({"tokens":[1,2,3]})", chat("\"hi\""),
        R"({"prompt":"<eos>","add_special_tokens":false,"special":false})"}},
      {"data_url",
       run_data_url,
       {},
       {"data:image/png;base64,iVBORw0KGgo=", "iVBORw0KGgo", "data:;base64,UklG Rg\n==", "data:audio/wav;base64,_-8",
        "https://a/b", "file:///etc/passwd", "data:text/plain,a"}},
  };
}

}  // namespace g3n::fuzz
