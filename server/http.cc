// See http.h. One connection is one state machine: bytes come in by a read that is always pending, so that a client
// that goes away is seen at once; what it does with them depends on the stage.
#include "server/http.h"

#include <utility>  // Boost 1.74's asio needs it before

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <cctype>
#include <ctime>
#include <map>
#include <set>

#include "core/ascii.h"
#include "g3n/error.h"

namespace g3n::server {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;
using local = asio::local::stream_protocol;
using AnySocket = asio::generic::stream_protocol::socket;
using boost::system::error_code;
using std::chrono::milliseconds;

namespace {

constexpr std::size_t kReadBytes = 16 << 10;
constexpr int kSendBytes = 128 << 10;  // in the kernel: what a reader that does not follow may hold there
constexpr milliseconds kLinger{2000};  // for the client to read the last response before the socket is closed

std::string date() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[64];
  return {text, std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts)};
}

std::string hex(std::size_t number) {
  char text[20];
  return {text, static_cast<std::size_t>(std::snprintf(text, sizeof text, "%zx", number))};
}

}  // namespace

const std::string* find_header(const HttpHeaders& headers, std::string_view name) {
  for (const auto& [key, value] : headers)
    if (key == name) return &value;
  return nullptr;
}

const char* status_text(int status) {
  switch (status) {
    case 200: return "OK";
    case 204: return "No Content";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 503: return "Service Unavailable";
    default: return "Unknown";
  }
}

class Connection;

struct HttpServer::Impl {
  Impl(const HttpOptions& o, HttpHandler& h) : options(o), handler(h) {}

  HttpOptions options;
  HttpHandler& handler;
  asio::io_context io{1};
  tcp::acceptor acceptor{io};
  local::acceptor local_acceptor{io};  // one of the two is open
  asio::steady_timer accept_pause{io};
  asio::signal_set signals{io};
  std::set<std::shared_ptr<Connection>> open;
  std::map<asio::ip::address, std::int64_t> by_address;
  std::atomic<std::int64_t> connections{0};
  std::size_t body_bytes = 0;  // of bodies that are being read

  bool is_local() const { return !options.unix_path.empty(); }
  void listen_on_host();
  void listen_on_file();
  template <class Acceptor>
  void accept(Acceptor& from);
  void take(AnySocket socket, const asio::ip::address& address);
  void wait_for_signal();
  void forget(const std::shared_ptr<Connection>& connection, const asio::ip::address& address);
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(HttpServer::Impl& server, AnySocket socket, asio::ip::address address)
      : server_(server), limits_(server.options.limits), socket_(std::move(socket)), address_(std::move(address)) {}

  void start(bool is_one_too_many) {
    error_code ignored;
    socket_.set_option(tcp::no_delay(true), ignored);
    socket_.set_option(AnySocket::send_buffer_size(kSendBytes), ignored);
    if (is_one_too_many) return protocol_error(503, "too many connections");
    wait_for_request(limits_.header_time);
    read();
  }

  void close() {
    if (stage_ == Stage::kClosed) return;
    stage_ = Stage::kClosed;
    const auto self = shared_from_this();
    tell_gone();
    stream_.reset();
    error_code ignored;
    read_timer_.cancel();
    write_timer_.cancel();
    deadline_.cancel();
    count_body(0);
    socket_.close(ignored);
    server_.forget(self, address_);
  }

  // ---- the exchange of this number, on the I/O thread ----
  void respond(std::uint64_t number, HttpResponse response) {
    if (!is_current(number)) return;
    answered_ = true;
    if (response.delay.count() > 0) {
      const milliseconds delay = std::exchange(response.delay, milliseconds(0));
      arm(write_timer_, delay, [this, response = std::move(response)] { send_whole(response); });
      return;
    }
    send_whole(response);
  }

  void stream(std::uint64_t number, const HttpResponse& head, std::shared_ptr<HttpStream> source) {
    if (!is_current(number)) return;
    answered_ = true;
    stream_ = std::move(source);
    is_chunked_ = !is_http_1_0_;
    out_ += head_text(head, is_chunked_ ? "Transfer-Encoding: chunked\r\n" : "");
    flush();
  }

  void wake(std::uint64_t number) {
    if (number == number_ && stream_ && !is_writing_) pump();
  }

  void set_deadline(std::uint64_t number, milliseconds time, std::function<void()> callback) {
    if (number == number_ && stage_ == Stage::kAnswering) arm(deadline_, time, std::move(callback));
  }

  // What was to answer this request has thrown.
  void give_up(std::uint64_t number) {
    if (number == number_ && stage_ == Stage::kAnswering) close();
  }

  void on_gone(std::uint64_t number, std::function<void()> callback) {
    if (number != number_ || stage_ != Stage::kAnswering) {
      if (number == number_ || stage_ == Stage::kClosed) callback();
      return;
    }
    gone_ = std::move(callback);
    if (half_closed_) close();
  }

 private:
  enum class Stage { kIdle, kHeader, kBody, kAnswering, kDiscarding, kClosed };

  bool is_current(std::uint64_t number) const { return number == number_ && stage_ == Stage::kAnswering && !answered_; }

  template <class F>
  void arm(asio::steady_timer& timer, milliseconds time, F&& f) {
    timer.expires_after(time);
    timer.async_wait([self = shared_from_this(), f = std::forward<F>(f)](error_code error) mutable {
      if (!error && self->stage_ != Stage::kClosed) f();
    });
  }

  void tell_gone() {
    if (gone_) std::exchange(gone_, nullptr)();
  }

  // ---- in ----

  void wait_for_request(milliseconds time) {
    stage_ = Stage::kIdle;
    arm(read_timer_, time, [this] { close(); });
  }

  void read() {
    is_reading_ = true;
    socket_.async_read_some(asio::buffer(read_bytes_), [self = shared_from_this()](error_code error, std::size_t n) {
      self->is_reading_ = false;
      if (self->stage_ == Stage::kClosed) return;
      if (error) return self->on_read_end(error);
      self->buffer_.commit(asio::buffer_copy(self->buffer_.prepare(n), asio::buffer(self->read_bytes_, n)));
      self->advance();
      if (self->stage_ != Stage::kClosed) self->read();
    });
  }

  void on_read_end(error_code error) {
    if (stage_ != Stage::kAnswering || gone_ || error != asio::error::eof) return close();
    half_closed_ = true;  // its response may be on its way
  }

  void advance() {
    for (;;) switch (stage_) {
        case Stage::kIdle:
          if (buffer_.size() == 0) return;
          stage_ = Stage::kHeader;
          parser_.emplace();
          parser_->header_limit(static_cast<std::uint32_t>(limits_.header_bytes));
          parser_->body_limit(limits_.body_bytes);
          parser_->eager(false);
          arm(read_timer_, limits_.header_time, [this] { protocol_error(408, "the request header took too long"); });
          break;
        case Stage::kHeader:
          if (!feed()) return;
          if (parser_->is_header_done()) on_header();
          break;
        case Stage::kBody:
          if (parser_->is_done()) {
            on_request();
            break;
          }
          if (buffer_.size() == 0 || !feed()) return;
          count_body(parser_->get().body().size());
          if (is_body_too_many()) {
            protocol_error(429, "the bodies of other requests have reached their limit");
            break;
          }
          arm_body_timer();
          break;
        case Stage::kAnswering:
          if (has_unread_body_)
            buffer_.consume(buffer_.size());
          else if (buffer_.size() > limits_.early_bytes)
            close();
          return;
        case Stage::kDiscarding: buffer_.consume(buffer_.size()); return;
        case Stage::kClosed: return;
      }
  }

  void count_body(std::size_t bytes) {
    server_.body_bytes += bytes - body_bytes_;
    body_bytes_ = bytes;
  }
  // Who sends little is never refused for what others hold.
  bool is_body_too_many() const {
    const std::size_t part = limits_.all_body_bytes / static_cast<std::size_t>(limits_.connections);
    return server_.body_bytes > limits_.all_body_bytes && body_bytes_ < server_.body_bytes && body_bytes_ > part;
  }

  // Gives the parser what there is. False: it needs more, or the request is refused.
  bool feed() {
    error_code error;
    buffer_.consume(parser_->put(buffer_.data(), error));
    if (!error) return true;
    const bool is_long = stage_ == Stage::kHeader && buffer_.size() > limits_.header_bytes;
    if (error == http::error::header_limit || (error == http::error::need_more && is_long))
      fail_header();
    else if (error == http::error::need_more)
      return false;
    else if (error == http::error::body_limit)
      protocol_error(413, "the body is larger than " + std::to_string(limits_.body_bytes) + " bytes");
    else
      protocol_error(400, "not a valid HTTP/1.1 request: " + error.message());
    return false;
  }

  void fail_header() {
    protocol_error(431, "the header is larger than " + std::to_string(limits_.header_bytes) + " bytes");
  }

  void arm_body_timer() {
    arm(read_timer_, limits_.body_idle, [this] { protocol_error(408, "the request body stopped coming"); });
  }

  void on_header() {
    const auto& message = parser_->get();
    request_ = {};
    request_.method = std::string(message.method_string());
    request_.target = std::string(message.target());
    is_http_1_0_ = message.version() < 11;
    keep_alive_ = !is_http_1_0_ && message.keep_alive();
    is_head_ = request_.method == "HEAD";
    if (request_.target.size() > limits_.header_line_bytes)
      return protocol_error(
          414, "the request target is longer than " + std::to_string(limits_.header_line_bytes) + " bytes");
    std::size_t header_bytes = request_.target.size();
    for (const auto& field : message) {
      header_bytes += field.name_string().size() + field.value().size() + 4;
      std::string name = ascii_lower(std::string(field.name_string()));
      if (name.size() + field.value().size() + 4 > limits_.header_line_bytes)
        return protocol_error(431,
                              "a header line is longer than " + std::to_string(limits_.header_line_bytes) + " bytes");
      request_.headers.emplace_back(std::move(name), std::string(field.value()));
    }
    if (header_bytes > limits_.header_bytes) return fail_header();
    if (request_.headers.size() > limits_.header_count)
      return protocol_error(431, "more than " + std::to_string(limits_.header_count) + " header lines");
    // Of two hosts only one would be checked; behind any coding but chunked nobody knows where the body ends, and what
    // is left of it would be the next request.
    if (message.count(http::field::host) > 1)
      return protocol_error(400, "not a valid HTTP/1.1 request: two Host lines");
    for (const auto& field : message)
      if (field.name() == http::field::transfer_encoding && !beast::iequals(field.value(), "chunked"))
        return protocol_error(400, "expected the Transfer-Encoding chunked, or none");
    request_.has_body = !parser_->is_done();
    if (std::optional<HttpResponse> refusal = server_.handler.refuse(request_)) {
      begin_answer();
      has_unread_body_ = request_.has_body;
      if (has_unread_body_) keep_alive_ = false;
      return respond(number_, std::move(*refusal));
    }
    stage_ = Stage::kBody;
    if (!request_.has_body) return;
    arm_body_timer();
    const std::string* expect = request_.header("expect");
    if (expect && beast::iequals(*expect, "100-continue") && !is_http_1_0_) {
      out_ += "HTTP/1.1 100 Continue\r\n\r\n";
      flush();
    }
  }

  void on_request() {
    request_.body = std::move(parser_->get().body());
    parser_.reset();
    begin_answer();
    server_.handler.handle(std::move(request_), exchange());
  }

  std::shared_ptr<HttpExchange> exchange();

  void begin_answer() {
    stage_ = Stage::kAnswering;
    count_body(0);
    read_timer_.cancel();
    ++number_;
    answered_ = false;
    gone_ = nullptr;
  }

  // ---- out ----

  void protocol_error(int status, const std::string& message) {
    if (stage_ == Stage::kAnswering || stage_ == Stage::kDiscarding) return close();
    begin_answer();
    has_unread_body_ = true;
    keep_alive_ = false;
    respond(number_, server_.handler.problem(status, message));
  }

  std::string head_text(const HttpResponse& head, const std::string& length) const {
    std::string text = (is_http_1_0_ ? "HTTP/1.0 " : "HTTP/1.1 ") + std::to_string(head.status) + " " +
                       status_text(head.status) + "\r\nDate: " + date() + "\r\n";
    for (const auto& [name, value] : head.headers) text += name + ": " + value + "\r\n";
    if (!keep_alive_) text += "Connection: close\r\n";
    return text + length + "\r\n";
  }

  void send_whole(const HttpResponse& response) {
    const bool has_body = response.status != 204 && response.status != 304;
    const std::string length = has_body ? "Content-Length: " + std::to_string(response.body.size()) + "\r\n" : "";
    out_ += head_text(response, length);
    if (has_body && !is_head_) out_ += response.body;
    is_complete_ = true;
    flush();
  }

  void pump() {
    std::string bytes;
    bool goes_on = false;
    try {
      goes_on = stream_->next(bytes);
    } catch (const std::exception&) {
      return close();
    }
    send_piece(bytes);
    if (!goes_on) {
      if (is_chunked_) out_ += "0\r\n\r\n";
      stream_.reset();
      is_complete_ = true;
      if (!is_chunked_) keep_alive_ = false;
    }
    flush();
  }

  void send_piece(const std::string& bytes) {
    if (bytes.empty()) return;
    out_ += is_chunked_ ? hex(bytes.size()) + "\r\n" + bytes + "\r\n" : bytes;
  }

  void flush() {
    if (is_writing_ || stage_ == Stage::kClosed) return;
    if (!out_.empty()) {
      sending_.swap(out_);
      out_.clear();
      sent_ = 0;
      is_writing_ = true;
      return write();
    }
    if (is_complete_) return end_answer();
    if (stream_ && limits_.ping.count() > 0)
      arm(write_timer_, limits_.ping, [this] {
        if (!stream_ || is_writing_) return;
        send_piece(stream_->idle());
        flush();
      });
  }

  void write() {
    arm(write_timer_, limits_.write_stall, [this] { close(); });
    socket_.async_write_some(asio::buffer(sending_.data() + sent_, sending_.size() - sent_),
                             [self = shared_from_this()](error_code error, std::size_t n) {
                               if (self->stage_ == Stage::kClosed) return;
                               if (error) return self->close();
                               self->sent_ += n;
                               if (self->sent_ < self->sending_.size()) return self->write();
                               self->is_writing_ = false;
                               self->write_timer_.cancel();
                               if (self->stream_ && self->out_.empty()) return self->pump();
                               self->flush();
                             });
  }

  void end_answer() {
    is_complete_ = false;
    gone_ = nullptr;
    deadline_.cancel();
    parser_.reset();
    if (half_closed_) return close();
    if (!keep_alive_) {
      error_code ignored;
      socket_.shutdown(AnySocket::shutdown_send, ignored);
      stage_ = Stage::kDiscarding;  // closing with unread bytes would reset the connection and lose the response
      arm(read_timer_, kLinger, [this] { close(); });
      if (!is_reading_ && !half_closed_) read();
      return;
    }
    wait_for_request(limits_.keep_alive_idle);
    // Not from here: a response may be sent from inside advance.
    asio::post(server_.io, [self = shared_from_this()] {
      if (self->stage_ == Stage::kIdle) self->advance();
    });
  }

  HttpServer::Impl& server_;
  const HttpLimits& limits_;
  AnySocket socket_;
  const asio::ip::address address_;
  asio::steady_timer read_timer_{server_.io}, write_timer_{server_.io}, deadline_{server_.io};
  std::array<char, kReadBytes> read_bytes_;  // of the pending read: buffer_ is consumed meanwhile
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  Stage stage_ = Stage::kIdle;
  bool is_http_1_0_ = false, keep_alive_ = true, is_head_ = false, half_closed_ = false, is_reading_ = false;
  std::size_t body_bytes_ = 0;    // of the body that is being read
  bool has_unread_body_ = false;  // what still comes is thrown away

  HttpRequest request_;
  std::uint64_t number_ = 0;  // of the request on this connection
  bool answered_ = false;     // the response has begun
  bool is_complete_ = false;  // all of it is in out_ or sent
  bool is_chunked_ = false;
  std::function<void()> gone_;
  std::shared_ptr<HttpStream> stream_;

  std::string out_, sending_;
  std::size_t sent_ = 0;
  bool is_writing_ = false;
};

namespace {

class Exchange : public HttpExchange {
 public:
  Exchange(asio::io_context& io, std::shared_ptr<Connection> connection, std::uint64_t number)
      : io_(io), connection_(std::move(connection)), number_(number) {}

  void respond(HttpResponse response) override {
    asio::post(io_, [c = connection_, n = number_, r = std::move(response)]() mutable { c->respond(n, std::move(r)); });
  }
  void stream(HttpResponse head, std::shared_ptr<HttpStream> source) override {
    asio::post(io_, [c = connection_, n = number_, h = std::move(head), s = std::move(source)]() mutable {
      c->stream(n, h, std::move(s));
    });
  }
  void wake() override {
    asio::post(io_, [c = connection_, n = number_] { c->wake(n); });
  }
  void on_gone(std::function<void()> callback) override {
    // At once on the I/O thread: what is posted from there may come behind what other threads post later.
    asio::dispatch(io_,
                   [c = connection_, n = number_, f = std::move(callback)]() mutable { c->on_gone(n, std::move(f)); });
  }
  void after(milliseconds time, std::function<void()> callback) override {
    auto timer = std::make_shared<asio::steady_timer>(io_, time);
    timer->async_wait([timer, c = std::weak_ptr(connection_), n = number_, f = std::move(callback)](error_code error) {
      if (error) return;
      try {
        f();
      } catch (const std::exception&) {
        if (const auto connection = c.lock()) connection->give_up(n);
      }
    });
  }
  void set_deadline(milliseconds time, std::function<void()> callback) override {
    asio::post(io_, [c = connection_, n = number_, time, f = std::move(callback)]() mutable {
      c->set_deadline(n, time, std::move(f));
    });
  }

 private:
  asio::io_context& io_;
  const std::shared_ptr<Connection> connection_;
  const std::uint64_t number_;
};

}  // namespace

std::shared_ptr<HttpExchange> Connection::exchange() {
  return std::make_shared<Exchange>(server_.io, shared_from_this(), number_);
}

// ---- the server -----------------------------------------------------------------------------------------------------

namespace {

asio::ip::address address_of(const tcp::socket& socket, error_code& error) {
  return socket.remote_endpoint(error).address();
}
// All who come by the file count together.
asio::ip::address address_of(const local::socket&, error_code&) { return {}; }

}  // namespace

template <class Acceptor>
void HttpServer::Impl::accept(Acceptor& from) {
  from.async_accept([this, &from](error_code error, typename Acceptor::protocol_type::socket socket) {
    if (!from.is_open()) return;
    if (error) {  // no descriptors left: those in use come back
      accept_pause.expires_after(milliseconds(100));
      accept_pause.async_wait([this, &from](error_code stopped) {
        if (!stopped && from.is_open()) accept(from);
      });
      return;
    }
    error_code gone;
    const asio::ip::address address = address_of(socket, gone);
    if (!gone) take(AnySocket(std::move(socket)), address);
    accept(from);
  });
}

void HttpServer::Impl::take(AnySocket socket, const asio::ip::address& address) {
  const auto connection = std::make_shared<Connection>(*this, std::move(socket), address);
  open.insert(connection);
  const std::int64_t of_address = ++by_address[address];
  connections.store(static_cast<std::int64_t>(open.size()));
  const bool has_address = !is_local();
  connection->start(static_cast<std::int64_t>(open.size()) > options.limits.connections ||
                    (has_address && of_address > options.limits.connections_per_address));
}

void HttpServer::Impl::wait_for_signal() {
  signals.async_wait([this](error_code error, int number) {
    if (error) return;
    options.on_signal(number);
    wait_for_signal();
  });
}

void HttpServer::Impl::forget(const std::shared_ptr<Connection>& connection, const asio::ip::address& address) {
  if (!open.erase(connection)) return;
  if (const auto found = by_address.find(address); found != by_address.end() && --found->second == 0)
    by_address.erase(found);
  connections.store(static_cast<std::int64_t>(open.size()));
}

void HttpServer::Impl::listen_on_host() {
  const auto fail = [&](const error_code& error) {
    throw Error(ErrorCode::kInvalidArgument,
                "cannot listen on " + options.host + " port " + std::to_string(options.port) + ": " + error.message());
  };
  error_code error;
  const std::string host = options.host == "localhost" ? "127.0.0.1" : options.host;
  const asio::ip::address address = asio::ip::make_address(host, error);
  if (error)
    throw Error(ErrorCode::kInvalidArgument, "host: expected an address such as 127.0.0.1, found '" + host + "'");
  const tcp::endpoint endpoint(address, options.port);
  if (acceptor.open(endpoint.protocol(), error); error) fail(error);
  acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (acceptor.bind(endpoint, error); error) fail(error);
  if (acceptor.listen(asio::socket_base::max_listen_connections, error); error) fail(error);
  accept(acceptor);
}

void HttpServer::Impl::listen_on_file() {
  const std::string& path = options.unix_path;
  const auto fail = [&](const std::string& why) {
    throw Error(ErrorCode::kInvalidArgument, "cannot listen on " + path + ": " + why);
  };
  if (path.size() > 100) fail("expected a path of at most 100 bytes, found " + std::to_string(path.size()));
  const local::endpoint endpoint(path);
  struct stat facts {};
  if (::lstat(path.c_str(), &facts) == 0) {
    if (!S_ISSOCK(facts.st_mode)) fail("there is a file of this name that is no socket");
    error_code refused;
    local::socket probe(io);
    probe.connect(endpoint, refused);
    if (refused != asio::error::connection_refused) fail("somebody listens there");
    ::unlink(path.c_str());
  }
  error_code error;
  local_acceptor.open(endpoint.protocol(), error);
  if (!error) local_acceptor.bind(endpoint, error);
  if (!error) local_acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) fail(error.message());
  accept(local_acceptor);
}

HttpServer::HttpServer(const HttpOptions& options, HttpHandler& handler)
    : impl_(std::make_unique<Impl>(options, handler)) {
  if (options.unix_path.empty())
    impl_->listen_on_host();
  else
    impl_->listen_on_file();
  for (const int number : options.signals) impl_->signals.add(number);
  if (!options.signals.empty()) impl_->wait_for_signal();
}

HttpServer::~HttpServer() {
  if (!impl_->options.unix_path.empty()) ::unlink(impl_->options.unix_path.c_str());
  // What is still posted holds connections that hold this.
  const auto open = impl_->open;
  for (const auto& connection : open) connection->close();
}

std::uint16_t HttpServer::port() const { return impl_->is_local() ? 0 : impl_->acceptor.local_endpoint().port(); }
std::string HttpServer::host() const {
  return impl_->is_local() ? impl_->options.unix_path : impl_->acceptor.local_endpoint().address().to_string();
}
bool HttpServer::is_loopback() const {
  return impl_->is_local() || impl_->acceptor.local_endpoint().address().is_loopback();
}
std::int64_t HttpServer::connections() const { return impl_->connections.load(); }

void HttpServer::run() {
  const auto keep = asio::make_work_guard(impl_->io);
  for (;;) {
    try {
      impl_->io.run();
      return;
    } catch (const std::exception&) {  // no memory for a request: its connection ends by its timers
    }
  }
}

void HttpServer::post(std::function<void()> work) { asio::post(impl_->io, std::move(work)); }

void HttpServer::after(milliseconds time, std::function<void()> work) {
  auto timer = std::make_shared<asio::steady_timer>(impl_->io, time);
  timer->async_wait([timer, f = std::move(work)](error_code error) {
    if (!error) f();
  });
}

void HttpServer::stop_accepting() {
  asio::post(impl_->io, [this] {
    error_code ignored;
    impl_->acceptor.close(ignored);
    impl_->local_acceptor.close(ignored);
  });
}

void HttpServer::stop() { impl_->io.stop(); }

}  // namespace g3n::server
