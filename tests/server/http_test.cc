// The HTTP floor alone, over loopback: framing, limits, timeouts, clients that leave.
#include "server/http.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>

#include "server/client.h"

namespace g3n::testing {
namespace {

using namespace std::chrono_literals;
using server::HttpExchange;
using server::HttpLimits;
using server::HttpRequest;
using server::HttpResponse;
using server::HttpStream;
using ::testing::HasSubstr;

// "/echo" answers with method, target and body; "/stream" with pieces; "/wait" never, and counts who leaves.
class EchoHandler : public server::HttpHandler {
 public:
  std::atomic<int> gone{0}, handled{0}, late{0};
  std::shared_ptr<int> kept;  // by the deadlines of requests

  class Pieces : public HttpStream {
   public:
    explicit Pieces(int count) : left_(count) {}
    bool next(std::string& bytes) override {
      bytes += "piece" + std::to_string(left_) + ";" + std::string(size, 'x');
      if (left_ > 1 && exchange) exchange->wake();
      return --left_ > 0;
    }
    std::string idle() override { return ": ping\n\n"; }
    std::shared_ptr<HttpExchange> exchange;
    std::size_t size = 0;

   private:
    int left_;
  };
  class Silent : public HttpStream {
   public:
    bool next(std::string&) override { return true; }
    std::string idle() override { return ": ping\n\n"; }
  };

  class Broken : public HttpStream {
   public:
    bool next(std::string&) override { throw std::bad_alloc(); }
    std::string idle() override { return ""; }
  };

  std::optional<HttpResponse> refuse(const HttpRequest& request) override {
    if (request.target == "/refused") return HttpResponse{403, {}, "no", {}};
    return std::nullopt;
  }
  void handle(HttpRequest request, std::shared_ptr<HttpExchange> exchange) override {
    ++handled;
    if (request.target == "/wait") return exchange->on_gone([this] { ++gone; });
    if (request.target == "/broken") return exchange->stream({}, std::make_shared<Broken>());
    if (request.target == "/soon" || request.target == "/late") {
      exchange->set_deadline(request.target == "/soon" ? 50ms : 1h, [this, kept = kept] { ++late; });
      if (request.target == "/soon") return;
    }
    if (request.target == "/thrower") return exchange->after(1ms, [] { throw std::bad_alloc(); });
    if (request.target == "/bomb") throw std::bad_alloc();
    if (request.target == "/silent") return exchange->stream({}, std::make_shared<Silent>());
    if (request.target.compare(0, 7, "/stream") == 0) {
      const auto pieces = std::make_shared<Pieces>(request.target == "/streambig" ? 2000 : 3);
      pieces->exchange = exchange;
      pieces->size = request.target == "/streambig" ? 100'000 : 0;
      exchange->on_gone([this] { ++gone; });
      return exchange->stream({}, pieces);
    }
    exchange->respond({200, {}, request.method + " " + request.target + " " + request.body, {}});
  }
  HttpResponse problem(int status, const std::string& message) override { return {status, {}, message, {}}; }
};

class Http : public ::testing::Test {
 protected:
  void start(const HttpLimits& limits = {}) {
    server::HttpOptions options;
    options.port = 0;
    options.limits = limits;
    server_ = std::make_unique<server::HttpServer>(options, handler_);
    thread_ = std::thread([this] { server_->run(); });
  }
  void TearDown() override {
    server_->stop();
    thread_.join();
  }
  EchoHandler handler_;
  std::unique_ptr<server::HttpServer> server_;
  std::thread thread_;
};

TEST_F(Http, KeepsTheConnectionAndTakesPipelinedRequests) {
  start();
  Socket socket(server_->port());
  socket.send(get("/a") + post("/b", "body") + get("/c"));
  EXPECT_EQ(socket.reply().body, "GET /a ");
  EXPECT_EQ(socket.reply().body, "POST /b body");
  EXPECT_EQ(socket.reply().body, "GET /c ");
  socket.send(get("/d", "Connection: close\r\n"));
  const Reply last = socket.reply();
  EXPECT_EQ(last.body, "GET /d ");
  EXPECT_EQ(last.header("Connection"), "close");
  EXPECT_TRUE(socket.is_closed());
}

TEST_F(Http, WhatThrowsEndsItsConnectionAlone) {
  HttpLimits limits;
  limits.body_idle = 200ms;
  start(limits);
  Socket other(server_->port());
  for (const char* path : {"/broken", "/thrower", "/bomb"}) {
    Socket socket(server_->port());
    socket.send(get(path));
    const bool is_known = std::string(path) != "/bomb";  // else nobody knows whose it was
    EXPECT_TRUE(!is_known || socket.is_closed()) << path;
    other.send(get("/a"));
    EXPECT_EQ(other.reply().body, "GET /a ") << path;
  }
}

TEST_F(Http, HeaderAndBodyMayComeByteByByte) {
  start();
  Socket socket(server_->port());
  for (const char c : post("/b", "hello")) socket.send(std::string(1, c));
  EXPECT_EQ(socket.reply().body, "POST /b hello");
}

TEST_F(Http, ChunkedBodiesAreJoined) {
  start();
  Socket socket(server_->port());
  socket.send(
      "POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n7;x=y\r\n, world\r\n0\r\n\r\n");
  EXPECT_EQ(socket.reply().body, "POST /c hello, world");
  socket.send(get("/again"));
  EXPECT_EQ(socket.reply().body, "GET /again ");
}

TEST_F(Http, ExpectIsAnsweredBehindTheCheck) {
  start();
  Socket socket(server_->port());
  const std::string head = " HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
  socket.send("POST /e" + head);
  EXPECT_THAT(socket.some(), HasSubstr("100 Continue"));
  socket.send("ok");
  EXPECT_EQ(socket.reply().body, "POST /e ok");
  Socket other(server_->port());
  other.send("POST /refused" + head);
  EXPECT_EQ(other.reply().status, 403);
  EXPECT_TRUE(other.is_closed());
}

TEST_F(Http, OldHttpIsAnsweredWithoutChunksAndClosed) {
  start();
  Socket socket(server_->port());
  socket.send("GET /stream HTTP/1.0\r\n\r\n");
  const Reply reply = socket.reply();
  EXPECT_THAT(reply.head, HasSubstr("HTTP/1.0 200"));
  EXPECT_EQ(reply.body, "piece3;piece2;piece1;");
}

TEST_F(Http, StreamsAreChunkedAndTheConnectionGoesOn) {
  start();
  Socket socket(server_->port());
  socket.send(get("/stream"));
  EXPECT_EQ(socket.reply().body, "piece3;piece2;piece1;");
  socket.send(get("/after"));
  EXPECT_EQ(socket.reply().body, "GET /after ");
}

TEST_F(Http, HeadHasTheLengthAndNoBody) {
  start();
  Socket socket(server_->port());
  socket.send("HEAD /h HTTP/1.1\r\nHost: x\r\n\r\n" + get("/i"));
  const Reply head = socket.reply(/*is_head=*/true);
  EXPECT_EQ(head.header("Content-Length"), "8");
  EXPECT_EQ(socket.reply().body, "GET /i ");
}

TEST_F(Http, WhatIsNoHttpIsRefused) {
  start();
  for (const std::string& bad :
       {std::string("hello\r\n\r\n"), std::string("GET  / HTTP/1.1\r\n\r\n"),
        std::string("GET / HTTP/1.1\r\nno colon\r\n\r\n"), std::string("\x16\x03\x01\x02\r\n\r\n"),
        std::string("POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"),
        std::string("GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.org\r\n\r\n"),
        std::string("POST / HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n" + get("/smuggled")),
        std::string("POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        std::string("POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: identity\r\n\r\na"),
        std::string("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na")}) {
    Socket socket(server_->port());
    socket.send(bad);
    EXPECT_EQ(socket.reply().status, 400) << bad;
    EXPECT_TRUE(socket.is_closed());
  }
  EXPECT_EQ(handler_.handled, 0);
}

TEST_F(Http, LimitsOfTheHeader) {
  start();
  const auto status = [&](const std::string& request) {
    Socket socket(server_->port());
    socket.send(request);
    return socket.reply().status;
  };
  EXPECT_EQ(status(get("/" + std::string(9000, 'a'))), 414);
  EXPECT_EQ(status(get("/", "X-Long: " + std::string(9000, 'a') + "\r\n")), 431);
  std::string many;
  for (int i = 0; i < 120; ++i) many += "X-" + std::to_string(i) + ": y\r\n";
  EXPECT_EQ(status(get("/", many)), 431);
  std::string much;
  for (int i = 0; i < 4; ++i) much += "X-" + std::to_string(i) + ": " + std::string(5000, 'y') + "\r\n";
  EXPECT_EQ(status(get("/", much)), 431);
  EXPECT_EQ(status(get("/" + std::string(7000, 'a'))), 200);
}

TEST_F(Http, BodiesOverTheLimitWithAndWithoutLength) {
  start({.body_bytes = 1000});
  Socket with(server_->port());
  with.send("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n");  // the body is not waited for
  EXPECT_EQ(with.reply().status, 413);
  EXPECT_TRUE(with.is_closed());
  Socket without(server_->port());
  without.send("POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < 3; ++i) without.send("190\r\n" + std::string(400, 'a') + "\r\n");
  EXPECT_EQ(without.reply().status, 413);
  Socket fits(server_->port());
  fits.send(post("/x", std::string(1000, 'b')));
  EXPECT_EQ(fits.reply().status, 200);
  EXPECT_EQ(handler_.handled, 1);
}

TEST_F(Http, ARefusedUploadStillReadsItsResponse) {
  start({.body_bytes = 1000});
  Socket socket(server_->port());
  socket.send("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n" + std::string(3'000'000, 'a'));
  EXPECT_EQ(socket.reply().status, 413);
}

TEST_F(Http, SlowHeadersAndBodiesEnd) {
  start({.header_time = 200ms, .body_idle = 200ms, .keep_alive_idle = 300ms});
  Socket header(server_->port());
  header.send("GET / HT");
  EXPECT_EQ(header.reply().status, 408);
  Socket body(server_->port());
  body.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
  EXPECT_EQ(body.reply().status, 408);
  Socket silent(server_->port());
  EXPECT_TRUE(silent.is_closed());
  Socket idle(server_->port());
  idle.send(get("/"));
  EXPECT_EQ(idle.reply().status, 200);
  EXPECT_TRUE(idle.is_closed());
  EXPECT_TRUE(comes_true([&] { return server_->connections() == 0; }));
}

TEST_F(Http, AClientThatLeavesIsSeenAtOnce) {
  start();
  for (const bool is_half : {false, true}) {
    const int before = handler_.gone, handled = handler_.handled;
    Socket socket(server_->port());
    socket.send(get("/wait"));
    ASSERT_TRUE(comes_true([&] { return handler_.handled > handled; }));
    EXPECT_EQ(handler_.gone, before);
    is_half ? socket.half_close() : socket.close();
    EXPECT_TRUE(comes_true([&] { return handler_.gone == before + 1; }));
    EXPECT_TRUE(comes_true([&] { return server_->connections() == 0; }));
  }
}

// A server whose requests have an hour of time would keep all requests of an hour.
TEST_F(Http, ADeadlineIsForgottenWithItsRequest) {
  handler_.kept = std::make_shared<int>();
  start();
  Socket socket(server_->port());
  for (int i = 0; i < 3; ++i) {
    socket.send(get("/late"));
    EXPECT_EQ(socket.reply().status, 200);
    EXPECT_TRUE(comes_true([&] { return handler_.kept.use_count() == 1; }));
  }
  socket.send(get("/soon"));
  EXPECT_TRUE(comes_true([&] { return handler_.late == 1; }));
  socket.close();
  EXPECT_TRUE(comes_true([&] { return handler_.kept.use_count() == 1; }));
}

TEST_F(Http, AHalfClosedClientReadsAnAnswerThatCostsNothing) {
  start();
  Socket socket(server_->port());
  socket.send(get("/a"));
  socket.half_close();
  EXPECT_EQ(socket.reply().body, "GET /a ");
  EXPECT_TRUE(socket.is_closed());
}

TEST_F(Http, ASlowReaderStallsItsOwnStreamAndIsDropped) {
  start({.write_stall = 300ms});
  Socket slow(server_->port());
  slow.send(get("/streambig"));  // 200 MB, of which the kernel takes a few
  ASSERT_TRUE(comes_true([&] { return handler_.handled == 1; }));
  Socket other(server_->port());
  other.send(get("/b"));
  EXPECT_EQ(other.reply().body, "GET /b ");
  EXPECT_TRUE(comes_true([&] { return handler_.gone == 1; }));
}

TEST_F(Http, TooMuchBehindARunningRequestDropsTheConnection) {
  start({.early_bytes = 100});
  Socket socket(server_->port());
  socket.send(get("/wait"));
  ASSERT_TRUE(comes_true([&] { return handler_.handled == 1; }));
  socket.send(std::string(200, 'a'));
  EXPECT_TRUE(socket.is_closed());
  EXPECT_TRUE(comes_true([&] { return handler_.gone == 1; }));
}

TEST_F(Http, AQuietStreamIsKeptOpenByPings) {
  start({.ping = 50ms});
  Socket socket(server_->port());
  socket.send(get("/silent"));
  std::string in;
  for (int i = 0; i < 20 && in.find(": ping\n\n", in.find(": ping\n\n") + 1) == std::string::npos; ++i)
    in += socket.some();
  EXPECT_THAT(in, HasSubstr("200 OK"));
  EXPECT_NE(in.find(": ping\n\n", in.find(": ping\n\n") + 1), std::string::npos);
}

TEST_F(Http, PingsAfterNoTimeAreNone) {
  start({.write_stall = 1s, .ping = 0ms});
  Socket socket(server_->port());
  socket.send(get("/silent"));
  EXPECT_THAT(socket.some(), HasSubstr("200 OK"));
  std::this_thread::sleep_for(100ms);
  socket.send(std::string(20'000, 'x'));  // what ends the connection
  std::string in;
  for (std::string more = socket.some(); !more.empty(); more = socket.some()) in += more;
  EXPECT_EQ(in, "");
}

TEST_F(Http, ConnectionsAreCounted) {
  start({.connections = 3, .connections_per_address = 2});
  Socket a(server_->port()), b(server_->port());
  a.send(get("/a"));
  b.send(get("/b"));
  EXPECT_EQ(a.reply().status, 200);
  EXPECT_EQ(b.reply().status, 200);
  {
    Socket c(server_->port());
    EXPECT_EQ(c.reply().status, 503);
  }
  a.close();
  ASSERT_TRUE(comes_true([&] { return server_->connections() == 1; }));
  Socket d(server_->port());
  d.send(get("/d"));
  EXPECT_EQ(d.reply().status, 200);
}

TEST_F(Http, FiveHundredConnections) {
  start({.connections_per_address = 512});
  std::vector<std::unique_ptr<Socket>> sockets;
  for (int i = 0; i < 500; ++i) sockets.push_back(std::make_unique<Socket>(server_->port()));
  for (const auto& socket : sockets) socket->send(get("/x"));
  int answered = 0;
  for (const auto& socket : sockets) answered += socket->reply().status == 200;
  EXPECT_EQ(answered, 500);
  sockets.clear();
  EXPECT_TRUE(comes_true([&] { return server_->connections() == 0; }));
}

TEST(HttpServer, ATakenPortAndABadAddressAreErrors) {
  EchoHandler handler;
  server::HttpOptions options;
  options.port = 0;
  server::HttpServer first(options, handler);
  options.port = first.port();
  EXPECT_THROW(server::HttpServer(options, handler), Error);
  options.host = "no address";
  EXPECT_THROW(server::HttpServer(options, handler), Error);
}

}  // namespace
}  // namespace g3n::testing
