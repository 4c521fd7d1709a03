// HTTP/1.1 over TCP or a Unix socket: sockets, limits, timeouts, keep-alive, streamed responses. Knows no JSON and no
// routes; the one unit that includes Boost is http.cc. All callbacks come from the I/O thread (HttpServer::run) and
// must not block. One that throws, for want of memory, ends its connection and nothing else.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace g3n::server {

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

// The value of the first header of this name, which is written in lower case; null if there is none.
const std::string* find_header(const HttpHeaders& headers, std::string_view name);

struct HttpRequest {
  std::string method, target;
  HttpHeaders headers;  // names in lower case
  std::string body;
  bool has_body = false;  // one was announced

  const std::string* header(std::string_view name) const { return find_header(headers, name); }
};

struct HttpResponse {
  int status = 200;
  HttpHeaders headers;
  std::string body;
  std::chrono::milliseconds delay{0};  // before it is sent
};

const char* status_text(int status);

// What a streamed response sends, fetched when the connection can take more: a slow reader never makes it grow.
class HttpStream {
 public:
  virtual ~HttpStream() = default;
  // Appends what there is, maybe nothing (HttpExchange::wake then asks again). False: the stream ends behind it.
  virtual bool next(std::string& bytes) = 0;
  // Sent when nothing was for HttpLimits::ping; may be empty.
  virtual std::string idle() = 0;
};

// One request's way back. Any thread; every call is ignored once the connection is gone or the response complete.
class HttpExchange {
 public:
  virtual ~HttpExchange() = default;
  virtual void respond(HttpResponse response) = 0;
  virtual void stream(HttpResponse head, std::shared_ptr<HttpStream> source) = 0;
  virtual void wake() = 0;
  // Called once, at once if it has happened: the client went away before the response was complete. The connection is
  // then closed. Without such a callback the response of a half-closed connection is still sent.
  virtual void on_gone(std::function<void()> callback) = 0;
  // Calls it on the I/O thread after this time, whatever happened to the request.
  virtual void after(std::chrono::milliseconds time, std::function<void()> callback) = 0;
  // The same, unless the response has ended by then or the client is gone: nothing of it is kept any longer.
  virtual void set_deadline(std::chrono::milliseconds time, std::function<void()> callback) = 0;
};

class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  // The header is there, the body not yet read: a response refuses the request.
  virtual std::optional<HttpResponse> refuse(const HttpRequest& request) = 0;
  virtual void handle(HttpRequest request, std::shared_ptr<HttpExchange> exchange) = 0;
  // The response to what is no proper request: 400, 408, 413, 414, 429, 431, 503.
  virtual HttpResponse problem(int status, const std::string& message) = 0;
};

struct HttpLimits {
  std::size_t header_bytes = 16 << 10, header_count = 100, header_line_bytes = 8 << 10;
  std::size_t body_bytes = std::size_t{64} << 20;
  // Of all bodies that are being read; one of no more than a connection's part of it may always come.
  std::size_t all_body_bytes = std::size_t{512} << 20;
  std::size_t early_bytes = 16 << 10;  // of the next request, while a response runs
  std::int64_t connections = 512, connections_per_address = 128;
  std::chrono::milliseconds header_time{10'000}, body_idle{20'000}, keep_alive_idle{60'000}, write_stall{30'000};
  std::chrono::milliseconds ping{10'000};  // 0: never
};

struct HttpOptions {
  std::string host = "127.0.0.1";
  std::uint16_t port = 8080;  // 0: any free one
  std::string unix_path;      // a socket file instead of host and port; one that nobody listens on is replaced
  HttpLimits limits;
  std::vector<int> signals;  // told to on_signal, on the I/O thread
  std::function<void(int)> on_signal;
};

class HttpServer {
 public:
  // Opens the port, or makes the socket file. Throws Error kInvalidArgument: no such address; it is taken. The handler
  // outlives the server.
  HttpServer(const HttpOptions& options, HttpHandler& handler);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::uint16_t port() const;  // 0 of a Unix socket
  std::string host() const;    // as a number, or the socket file
  bool is_loopback() const;
  std::int64_t connections() const;  // any thread

  // Serves on this thread until stop().
  void run();
  // ---- any thread ----
  void post(std::function<void()> work);  // on the I/O thread
  void after(std::chrono::milliseconds time, std::function<void()> work);
  void stop_accepting();
  void stop();

  struct Impl;  // of http.cc

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace g3n::server
