// g3n serve as a process: signals, a port that is taken up again, options from a file.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "apps/program.h"
#include "tools/http_client.h"

namespace g3n::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using tools::HttpClient;

int free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  EXPECT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
  ::close(fd);
  return ntohs(address.sin_port);
}

std::string chat_request(int tokens, bool is_stream) {
  return tools::post("/v1/chat/completions",
                     R"({"messages":[{"role":"user","content":"hi"}],"ignore_eos":true,"max_tokens":)" +
                         std::to_string(tokens) + (is_stream ? R"(,"stream":true})" : "}"));
}

Arguments serve(int port, const Arguments& more = {}) {
  Arguments arguments = {"serve", "-m", demo(), "--port", std::to_string(port)};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

TEST(ServeProcess, SigtermUnderLoadDrainsAndEndsWell) {
  const int port = free_port();
  Running running(serve(port, {"--drain", "200ms"}), Running::Stdio::kTerminal);
  ASSERT_TRUE(running.read_until("ready:"));
  HttpClient endless(port), other(port);
  endless.send(chat_request(1'000'000, true));
  bool was_told = false;
  const auto reply = endless.receive([&](const std::string&) {
    if (!std::exchange(was_told, true)) running.send(SIGTERM);
  });
  EXPECT_EQ(reply.status, 200);
  EXPECT_THAT(reply.body, AllOf(HasSubstr("\"code\":\"draining\""), ::testing::Not(HasSubstr("[DONE]"))));
  EXPECT_EQ(running.finish().status, 0);
}

TEST(ServeProcess, AfterAKillTheNextOneAnswersOnTheSamePort) {
  const int port = free_port();
  {
    Running running(serve(port), Running::Stdio::kTerminal);
    ASSERT_TRUE(running.read_until("ready:"));
    HttpClient client(port);
    client.send(chat_request(1'000'000, true));
    EXPECT_THROW(client.receive([&](const std::string&) { running.send(SIGKILL); }), std::runtime_error);
    EXPECT_EQ(running.finish().status, 128 + SIGKILL);
  }
  Running again(serve(port), Running::Stdio::kTerminal);
  ASSERT_TRUE(again.read_until("ready:"));
  HttpClient client(port);
  client.send(chat_request(3, false));
  EXPECT_EQ(client.receive().status, 200);
  again.send(SIGTERM);
  EXPECT_EQ(again.finish().status, 0);
}

TEST(ServeProcess, RoutesAndLimitsArePrinted) {
  const Outcome routes = run_g3n({"serve", "--routes"});
  EXPECT_EQ(routes.status, 0);
  EXPECT_THAT(routes.out, AllOf(HasSubstr("POST /v1/chat/completions\n"), HasSubstr("/health  (no key)")));
  const Outcome limits = run_g3n({"serve", "--limit", "body-bytes=1MiB", "--limit", "help"});
  EXPECT_EQ(limits.status, 0);
  EXPECT_THAT(limits.out, AllOf(HasSubstr("body-bytes=1MiB "), HasSubstr("header-time=10000ms ")));
}

TEST(ServeProcess, LimitsOfPicturesReachTheEngine) {
  const int port = free_port();
  Running running(serve(port, {"--limit", "image-side=64"}), Running::Stdio::kTerminal);
  ASSERT_TRUE(running.read_until("ready:"));
  HttpClient client(port);
  // A GIF of one 65 x 1 frame that need not be decoded to be refused.
  const std::string gif = "R0lGODlhQQABAAAAADs=";
  client.send(
      tools::post("/v1/chat/completions",
                  R"({"messages":[{"role":"user","content":[{"type":"image_url","image_url":")" + gif + R"("}]}]})"));
  const auto reply = client.receive();
  EXPECT_EQ(reply.status, 400);
  EXPECT_THAT(reply.body,
              AllOf(HasSubstr("invalid_media"), HasSubstr("at most 64 pixels a side"), HasSubstr("found 65 x 1")));
  running.send(SIGTERM);
  EXPECT_EQ(running.finish().status, 0);
}

TEST(ServeProcess, FlagsThatMakeNoSense) {
  const auto error = [](const Arguments& flags) {
    Arguments arguments = {"serve"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    const Outcome outcome = run_g3n(arguments);
    EXPECT_EQ(outcome.status, 2) << outcome.err;
    return outcome.err;
  };
  EXPECT_THAT(error({"--limit", "colour=1"}), HasSubstr("--limit help"));
  EXPECT_THAT(error({"--limit", "body-bytes"}), HasSubstr("NAME=VALUE"));
  EXPECT_THAT(error({"--limit", "header-time=10MiB"}), HasSubstr("a time such as"));
  EXPECT_THAT(error({"--drain", "soon"}), HasSubstr("--drain: expected a time"));
  EXPECT_THAT(error({"--max-step", "150"}), HasSubstr("1ms to 60s"));
  // What would let in others than meant, or nobody.
  EXPECT_THAT(error({"-m", demo(), "--api-key", ""}), HasSubstr("--api-key: expected a key"));
  EXPECT_THAT(error({"-m", demo(), "--unix", ""}), HasSubstr("--unix: expected a path"));
  EXPECT_THAT(error({"-m", demo(), "--unix", "/nonexistent/s", "--port", "1"}), HasSubstr("instead of"));
  for (const char* bad : {"", "locl", "example.org", "https://a.org/", "https://a.org, https://b.org", "https://"})
    EXPECT_THAT(error({"-m", demo(), "--cors", bad}), HasSubstr("--cors: expected local, none, *")) << bad;
}

TEST(ServeProcess, OptionsFromAFile) {
  TemporaryFolder folder;
  const std::string config = folder.path("serve.json");
  const auto limits = [&](const std::string& text, const Arguments& more = {}) {
    write_text(config, text);
    Arguments arguments = {"serve", "--config", config, "--limit", "help"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_g3n(arguments);
  };
  EXPECT_THAT(run_g3n({"serve", "--config=" + config}).err, HasSubstr("cannot be read"));
  EXPECT_THAT(limits("{").err, HasSubstr("--config: "));
  EXPECT_THAT(limits("[]").err, HasSubstr("expected a JSON object"));
  EXPECT_THAT(limits(R"({"colour": 1})").err, HasSubstr("colour is no option of g3n serve"));
  EXPECT_THAT(limits(R"({"port": {"a": []}})").err, HasSubstr("expected a string"));
  write_text(config,
             R"({"limit": {"body-bytes": "1MiB", "media": 3}, "strict": true, "routes": false, "alias": ["a", "b"]})");
  // A flag of the command line replaces the file's.
  EXPECT_THAT(run_g3n({"serve", "--config", config, "--limit", "help"}).out, HasSubstr("body-bytes=64MiB"));
  const int port = free_port();
  write_text(config, R"({"model": ")" + demo() + R"(", "port": )" + std::to_string(port) +
                         R"(, "limit": {"messages": 1}, "strict": true, "alias": ["a", "b"]})");
  Running running({"serve", "--config", config}, Running::Stdio::kTerminal);
  ASSERT_TRUE(running.read_until("ready:"));
  HttpClient client(port);
  client.send(tools::get("/v1/models/b"));
  EXPECT_EQ(client.receive().status, 200);
  client.send(tools::post("/v1/chat/completions",
                          R"({"messages":[{"role":"user","content":"a"},{"role":"user","content":"b"}]})"));
  EXPECT_THAT(client.receive().body, HasSubstr("at most 1 entries"));
  client.send(tools::post("/v1/chat/completions", R"({"messages":[{"role":"user","content":"a"}],"user":"me"})"));
  EXPECT_EQ(client.receive().status, 400);
  running.send(SIGTERM);
  EXPECT_EQ(running.finish().status, 0);
}

}  // namespace
}  // namespace g3n::testing
