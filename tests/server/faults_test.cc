// Clients that leave, stall or send too much, and a server that is stopped: the others get theirs, pages come back, the
// next request is answered.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/client.h"

namespace g3n::testing {
namespace {

using namespace std::chrono_literals;
using server::ServerOptions;
using ::testing::HasSubstr;

std::string chat(const std::string& more) {
  return post("/v1/chat/completions",
              R"({"messages":[{"role":"user","content":"hi"}])" + (more.empty() ? "" : "," + more) + "}");
}

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

}  // namespace
}  // namespace g3n::testing
