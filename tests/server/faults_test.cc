// Clients that leave, stall or send too much, and a server that is stopped: the others get theirs, pages come back, the
// next request is answered.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <future>
#include <map>
#include <mutex>
#include <sstream>

#include "golden/demo.h"
#include "server/client.h"
#include "support/errors.h"

namespace g3n::testing {
namespace {

using namespace std::chrono_literals;
using server::ServerOptions;
using ::testing::HasSubstr;

// Frames of about 2 KB a token: the kernel's buffers hold few of them.
const char* kWideStream = R"("stream":true,"logprobs":true,"top_logprobs":20,"temperature":0,"ignore_eos":true)";

// Waits until no step is done for a while.
bool comes_to_rest(const Engine& engine) {
  return comes_true([&] {
    const std::int64_t steps = engine.stats().steps;
    std::this_thread::sleep_for(100ms);
    return engine.stats().steps == steps;
  });
}

std::string content_of(const std::string& body) {
  std::string content;
  for (const JsonNode& frame : frames(body)) content += text_at(frame, "choices.0.delta.content");
  return content;
}

TEST(Faults, ASlowReadersSequenceIsPausedAndNobodyElses) {
  const auto engine = fake_engine("the red star ", {}, 4000);
  TestServer server(engine);
  const std::string wanted = content_of(server.ask(chat(kWideStream)).body);
  const std::int64_t steps_alone = engine->stats().steps;
  Socket slow(server.port(), 4096);
  slow.send(chat(kWideStream));
  ASSERT_TRUE(comes_true([&] { return engine->stats().running == 1; }));
  ASSERT_TRUE(comes_to_rest(*engine));
  EXPECT_EQ(engine->stats().running, 1);
  EXPECT_LT(engine->stats().steps, steps_alone + 1500) << "of about 4000 tokens";
  EXPECT_EQ(server.ask(chat(R"("max_tokens":3)")).at("usage.completion_tokens"), "3");
  EXPECT_EQ(content_of(slow.reply().body), wanted);
  EXPECT_TRUE(comes_true([&] { return is_idle(*engine); }));
}

TEST(Faults, AReaderThatStopsIsCancelledAfterTheWriteStall) {
  ServerOptions options;
  options.http.limits.write_stall = 300ms;
  const auto engine = fake_engine("the red star ", {}, 4000);
  TestServer server(engine, options);
  Socket slow(server.port(), 4096);
  slow.send(chat(std::string(kWideStream) + R"(,"n":2)"));
  ASSERT_TRUE(comes_true([&] { return engine->stats().running == 2; }));
  EXPECT_TRUE(comes_true([&] { return is_idle(*engine); }));
  EXPECT_LT(engine->stats().steps, 3000);
  EXPECT_TRUE(comes_true([&] { return !server.metric("g3n_cancelled_total").empty(); }));
  EXPECT_EQ(server.ask(chat(R"("max_tokens":3)")).status, 200);
}

// ---- clients that leave ---------------------------------------------------------------------------------------------

struct LeavingCase {
  const char* stage;
  FakeModelOptions model;
  std::string content;    // of the user's message, as JSON
  std::int64_t busy = 0;  // requests that hold the only place
};

std::string picture_part() {
  return R"([{"type":"image_url","image_url":{"url":"data:image/png;base64,)" +
         base64(file_bytes(demo_folder() + "/media/red-circle.png")) + R"("}},{"type":"text","text":"hi"}])";
}

std::string ask_of(const std::string& content, bool is_stream) {
  return post("/v1/chat/completions", R"({"messages":[{"role":"user","content":)" + content + R"(}],"stream":)" +
                                          (is_stream ? "true}" : "false}"));
}

std::vector<LeavingCase> stages() {
  std::string long_text;
  for (int i = 0; i < 2000; ++i) long_text += "red star ";  // eight chunks of 0.2 s
  const std::string hi = R"("hi")";
  return {
      {"queued", {.step_seconds = 0.005}, hi, 1},
      {"encoding", {.encoder_blocks = 100000, .block_seconds = 0.002}, picture_part(), 0},
      {"prefill", {.row_seconds = 0.0004}, "\"" + long_text + "\"", 0},
      {"decode", {.step_seconds = 0.005}, hi, 0},
  };
}

TEST(Faults, AClientThatLeavesAtAnyStageStopsItsWork) {
  for (const LeavingCase& c : stages())
    for (const bool is_stream : {false, true})
      for (const bool is_half : {false, true}) {
        SCOPED_TRACE(std::string(c.stage) + (is_stream ? " stream" : "") + (is_half ? " half-closed" : ""));
        ServerOptions options;
        options.max_sequences = 1;
        const auto engine = fake_engine("the red star ", c.model, 0, 1);
        TestServer server(engine, options);
        std::vector<std::unique_ptr<Socket>> busy;
        for (std::int64_t i = 0; i < c.busy; ++i) {
          busy.push_back(std::make_unique<Socket>(server.port()));
          busy.back()->send(ask_of(R"("hi")", true));
          ASSERT_TRUE(comes_true([&] { return engine->stats().steps > 0; }));
        }
        Socket leaving(server.port());
        leaving.send(ask_of(c.content, is_stream));
        const std::int64_t all = c.busy + 1;
        ASSERT_TRUE(comes_true([&] {
          const Stats stats = engine->stats();
          return stats.waiting + stats.running == all && (c.busy || stats.running == 1);
        }));
        const std::int64_t steps = std::string(c.stage) == "decode" ? 3 : std::string(c.stage) == "prefill" ? 1 : 0;
        ASSERT_TRUE(comes_true([&] { return engine->stats().steps >= steps; }));
        std::this_thread::sleep_for(20ms);
        is_half ? leaving.half_close() : leaving.close();
        ASSERT_TRUE(comes_true([&] {
          const Stats stats = engine->stats();
          return stats.waiting + stats.running == c.busy;
        }));
        EXPECT_TRUE(comes_true([&] {
          return server.metric("g3n_cancelled_total{model=\"demo\",stage=\"" + std::string(c.stage) + "\"}") == "1";
        }));
        busy.clear();
        EXPECT_TRUE(comes_true([&] { return is_idle(*engine); }));
      }
}

TEST(Faults, ADeadlineEndsARequestAtAnyStage) {
  for (const LeavingCase& c : stages()) {
    SCOPED_TRACE(c.stage);
    const auto engine = fake_engine("the red star ", c.model, 0, 1);
    TestServer server(engine);
    std::vector<std::unique_ptr<Socket>> busy;
    for (std::int64_t i = 0; i < c.busy; ++i) {
      busy.push_back(std::make_unique<Socket>(server.port()));
      busy.back()->send(ask_of(R"("hi")", true));
      ASSERT_TRUE(comes_true([&] { return engine->stats().steps > 0; }));
    }
    const Reply reply =
        server.ask(post("/v1/chat/completions", R"({"messages":[{"role":"user","content":)" + c.content + "}]}",
                        "x-request-timeout-ms: 300\r\n"));
    EXPECT_EQ(reply.status, 408) << reply.body;
    EXPECT_EQ(reply.at("error.code"), "request_timeout");
    busy.clear();
    EXPECT_TRUE(comes_true([&] { return is_idle(*engine); }));
  }
}

// Workers read requests one after the other: who leaves before his turn is not read.
TEST(Faults, WhoLeavesBeforeAWorkerComesIsNotRead) {
  ServerOptions options;
  options.workers = 1;
  const auto engine = fake_engine("the red star ");
  std::promise<void> go;
  const std::shared_future<void> gone = go.get_future().share();
  std::atomic<int> asked{0};
  options.logs_content = true;
  options.on_log = [&](const std::string& line) {  // from the worker: holds it
    if (line.find("asked:") == std::string::npos) return;
    ++asked;
    if (line.find("first") != std::string::npos) gone.wait();
  };
  TestServer server(engine, options);
  Socket first(server.port());
  first.send(ask_of(R"("first")", false));
  ASSERT_TRUE(comes_true([&] { return asked == 1; }));
  {
    Socket leaving(server.port());
    leaving.send(ask_of(R"("second")", false));
    std::this_thread::sleep_for(50ms);
  }
  std::this_thread::sleep_for(50ms);
  go.set_value();
  EXPECT_EQ(first.reply().status, 200);
  EXPECT_TRUE(comes_true([&] { return !server.metric("g3n_cancelled_total").empty(); }));
  EXPECT_EQ(asked, 1);
}

// ---- too many, too much ---------------------------------------------------------------------------------------------

TEST(Faults, PipelinedRequestsAreAnsweredInOrder) {
  TestServer server(fake_engine("the red star "));
  Socket socket(server.port());
  socket.send(chat(R"("max_tokens":3)") + chat(R"("max_tokens":4,"stream":true)") + get("/live") +
              chat(R"("max_tokens":5)"));
  EXPECT_EQ(socket.reply().at("usage.completion_tokens"), "3");
  EXPECT_THAT(socket.reply().body, HasSubstr("[DONE]"));
  EXPECT_EQ(socket.reply().at("status"), "ok");
  EXPECT_EQ(socket.reply().at("usage.completion_tokens"), "5");
}

TEST(Faults, OversizeIsRefusedWithAndWithoutLength) {
  ServerOptions options;
  options.http.limits.body_bytes = 10'000;
  TestServer server(fake_engine("the red star "), options);
  const std::string large = R"({"messages":[{"role":"user","content":")" + std::string(20'000, 'a') + "\"}]}";
  const Reply with = server.ask(post("/v1/chat/completions", large));
  EXPECT_EQ(with.status, 413);
  EXPECT_EQ(with.at("error.code"), "request_too_large");
  std::ostringstream chunked;
  chunked << "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
          << std::hex << large.size() << "\r\n"
          << large << "\r\n0\r\n\r\n";
  const Reply without = server.ask(chunked.str());
  EXPECT_EQ(without.status, 413);
  EXPECT_EQ(without.at("error.code"), "request_too_large");
  EXPECT_EQ(server.ask(chat(R"("max_tokens":1)")).status, 200);
}

TEST(Faults, FiveHundredConnectionsAreAllAnswered) {
  ServerOptions options;
  options.http.limits.connections_per_address = 512;
  options.max_queue = 600;
  const auto engine = fake_engine("the red star ");
  TestServer server(engine, options);
  std::vector<std::unique_ptr<Socket>> sockets;
  for (int i = 0; i < 500; ++i) {
    sockets.push_back(std::make_unique<Socket>(server.port()));
    sockets.back()->send(chat(R"("max_tokens":2,"temperature":0)"));
  }
  std::map<std::string, int> contents;
  for (const auto& socket : sockets) {
    const Reply reply = socket->reply();
    ASSERT_EQ(reply.status, 200) << reply.body;
    ++contents[reply.at("choices.0.message.content")];
  }
  EXPECT_EQ(contents.size(), 1u);
  EXPECT_TRUE(comes_true([&] { return is_idle(*engine); }));
}

TEST(Faults, BodiesAndSoundsInWorkAreBounded) {
  ServerOptions options;
  options.max_queue_bytes = 40'000;
  options.max_sequences = 1;
  const auto engine = fake_engine("the red star ", {.step_seconds = 0.005});
  TestServer server(engine, options);
  const auto large = [](bool is_stream) {
    return ask_of("\"" + std::string(1000, ' ') + R"(hi","name":")" + std::string(30'000, 'a') + "\"", is_stream);
  };
  Socket first(server.port());
  first.send(large(true));
  ASSERT_TRUE(comes_true([&] { return engine->stats().running == 1; }));
  const Reply second = server.ask(large(false));
  EXPECT_EQ(second.status, 429) << second.body;
  EXPECT_EQ(second.at("error.code"), "queue_full");
  first.close();
  EXPECT_TRUE(comes_true([&] { return engine->stats().running == 0; }));
}

// What has not come as a whole is held in memory as well.
TEST(Faults, BodiesThatDoNotEndAreBounded) {
  ServerOptions options;
  options.max_queue_bytes = 4'000'000;
  options.http.limits.connections = 40;
  TestServer server(fake_engine("the red star "), options);
  const auto begin = [&](std::size_t bytes) {
    auto socket = std::make_unique<Socket>(server.port());
    socket->send("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3000000\r\n\r\n" +
                 std::string(bytes, ' '));
    return socket;
  };
  const auto first = begin(2'500'000), second = begin(2'500'000);
  // One of the two, whichever went beyond.
  ASSERT_TRUE(
      comes_true([&] { return server.metric("g3n_rejected_total{model=\"demo\",code=\"queue_full\"}") == "1"; }));
  EXPECT_EQ(server.ask(ask_of(R"("hi")", false)).status, 200);
  const auto third = begin(1'400'000);  // its memory is free again
  first->close();
  second->close();
  third->close();
  ASSERT_TRUE(comes_true([&] { return server.metric("g3n_connections") == "1"; }));
  EXPECT_EQ(server.ask(ask_of("\"hi\",\"name\":\"" + std::string(2'000'000, 'a') + "\"", false)).status, 200);
  EXPECT_EQ(server.metric("g3n_rejected_total{model=\"demo\",code=\"queue_full\"}"), "1");
}

// ---- the end --------------------------------------------------------------------------------------------------------

TEST(Faults, ASecondSignalUnderLoadEndsAllAtOnce) {
  const auto engine = fake_engine("the red star ", {.step_seconds = 0.002});
  TestServer server(engine);
  std::vector<std::unique_ptr<Socket>> sockets;
  for (int i = 0; i < 40; ++i) {
    sockets.push_back(std::make_unique<Socket>(server.port()));
    sockets.back()->send(chat(i % 2 ? R"("stream":true)" : ""));
  }
  ASSERT_TRUE(comes_true([&] { return engine->stats().waiting + engine->stats().running == 40; }));
  server.server().shut_down();
  server.server().shut_down();
  for (int i = 0; i < 40; ++i) {
    const Reply reply = sockets[static_cast<std::size_t>(i)]->reply();
    if (i % 2)
      EXPECT_EQ(text_at(frames(reply.body).back(), "error.code"), "draining");
    else
      EXPECT_EQ(reply.at("error.code"), "draining");
  }
  server.join();
  EXPECT_TRUE(is_idle(*engine));
}

// ---- who may call, while it runs ------------------------------------------------------------------------------------

TEST(Faults, KeysAreReadAgainAtSighup) {
  std::mutex mutex;
  std::vector<server::ApiKey> keys = {{"a", "first"}};
  bool is_broken = false;
  ServerOptions options;
  options.access.keys = keys;
  options.http.signals = {SIGHUP};
  options.read_keys = [&] {
    std::lock_guard lock(mutex);
    if (is_broken) throw Error(ErrorCode::kNotFound, "gone");
    return keys;
  };
  TestServer server(fake_engine("red "), options);
  const auto status = [&](const std::string& key) {
    return server.ask(get("/v1/models", "Authorization: Bearer " + key + "\r\n")).status;
  };
  EXPECT_EQ(status("first"), 200);
  EXPECT_EQ(status("second"), 401);
  {
    std::lock_guard lock(mutex);
    keys = {{"b", "second"}};
  }
  ::raise(SIGHUP);
  EXPECT_TRUE(comes_true([&] { return status("second") == 200; }));
  EXPECT_EQ(status("first"), 401);
  {
    std::lock_guard lock(mutex);
    is_broken = true;
  }
  ::raise(SIGHUP);
  std::this_thread::sleep_for(50ms);
  EXPECT_EQ(status("second"), 200) << "as they were";
}

TEST(Faults, ASocketFileInsteadOfAPort) {
  TemporaryFolder folder;
  ServerOptions options;
  options.http.unix_path = folder / "socket";
  const auto engine = fake_engine("the red star ");
  {
    TestServer server(engine, options);
    EXPECT_EQ(server.port(), 0);
    Socket socket(options.http.unix_path);
    socket.send(chat(R"("max_tokens":3)"));
    EXPECT_EQ(socket.reply().at("usage.completion_tokens"), "3");
    EXPECT_ERROR(ErrorCode::kInvalidArgument, server::Server(options, [&] { return engine; }), "somebody listens");
  }
  EXPECT_FALSE(std::filesystem::exists(options.http.unix_path));
  folder.write("socket", "a file");
  EXPECT_ERROR(ErrorCode::kInvalidArgument, server::Server(options, [&] { return engine; }), "no socket");
}

}  // namespace
}  // namespace g3n::testing
