// The route table, paths, and who may call.
#include "server/router.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "g3n/error.h"

namespace g3n::testing {
namespace {

using namespace server;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Paths, AreDecodedOnce) {
  EXPECT_EQ(path_of_target("/v1/models/a%2Fb?limit=3"), "/v1/models/a/b");
  EXPECT_EQ(path_of_target("http://host:80/x?y"), "/x");
  EXPECT_EQ(path_of_target("/%2541"), "/%41");
  for (const char* bad : {"/../x", "/a/%2e%2e/b", "/a%00b", "/a\\b", "/a%5cb", "/%ff", "/%4", "/%zz", "x", ""})
    EXPECT_THROW(path_of_target(bad), ApiError) << bad;
}

TEST(Routes, MethodsAndPaths) {
  EXPECT_EQ(find_route("POST", "/chat/completions").route->endpoint, Endpoint::kChat);
  EXPECT_EQ(find_route("HEAD", "/v1/models").route->endpoint, Endpoint::kModels);
  EXPECT_EQ(find_route("GET", "/v1/models/org/name").rest, "org/name");
  EXPECT_EQ(find_route("GET", "/v1/chat/completions").route, nullptr);
  EXPECT_THAT(find_route("GET", "/v1/chat/completions").allowed, ElementsAre("POST"));
  EXPECT_THAT(find_route("PUT", "/health").allowed, ElementsAre("GET", "HEAD"));
  EXPECT_TRUE(find_route("POST", "/v1/chat/completions/").allowed.empty());
  EXPECT_TRUE(find_route("GET", "/models/").allowed.empty());
  EXPECT_THAT(routes_text(), HasSubstr("POST /v1/chat/completions\n"));
}

TEST(Keys, NamesCommentsAndComparison) {
  const auto keys = parse_keys("# ours\nsecret1\r\n\nbob:secret2\n");
  ASSERT_EQ(keys.size(), 2u);
  EXPECT_EQ(keys[1].name, "bob");
  EXPECT_THROW(parse_keys("# none\n"), Error);
  const Access access({keys, "local", {}}, true);
  const auto name = [&](const char* header, const char* value) {
    return access.key_name({"GET", "/", {{header, value}}, "", false});
  };
  EXPECT_EQ(name("authorization", "Bearer secret1"), "key 1");
  EXPECT_EQ(name("authorization", "bearer secret2"), "bob");
  EXPECT_EQ(name("x-api-key", "secret2"), "bob");
  for (const char* bad : {"Bearer ", "Bearer secret", "Bearer secret11", "Basic secret1", "secret1"})
    EXPECT_EQ(name("authorization", bad), std::nullopt) << bad;
}

TEST(Origins, WhoMayCall) {
  const auto allowed = [](const std::string& cors, const std::string& origin,
                          const std::string& host = "localhost:8080", bool has_key = false) {
    const Access access({has_key ? parse_keys("k") : std::vector<ApiKey>{}, cors, {"box.lan"}}, false);
    return access.allows_origin({"GET", "/", {{"origin", origin}, {"host", host}}, "", false});
  };
  for (const char* local : {"http://localhost:3000", "https://127.0.0.1", "http://127.8.9.1:5", "http://[::1]:3000",
                            "vscode-webview://abc", "tauri://localhost"})
    EXPECT_TRUE(allowed("local", local)) << local;
  for (const char* foreign : {"http://example.org", "null", "http://localhost.example.org",
                              "http://127.0.0.1.example.org", "chrome-extension://abc", "file://"})
    EXPECT_FALSE(allowed("local", foreign)) << foreign;
  EXPECT_FALSE(allowed("none", "http://localhost:3000"));
  EXPECT_TRUE(allowed("none", "http://localhost:8080"));  // its own page
  EXPECT_TRUE(allowed("none", "http://192.168.1.5:8080", "192.168.1.5:8080"));
  EXPECT_TRUE(allowed("none", "http://box.lan:8080", "box.lan:8080"));
  EXPECT_FALSE(allowed("none", "http://evil.org:8080", "evil.org:8080"));
  EXPECT_TRUE(allowed("none", "http://evil.org:8080", "evil.org:8080", /*has_key=*/true));
  EXPECT_TRUE(allowed("*", "http://example.org"));
  EXPECT_TRUE(allowed("https://a.org,https://b.org", "https://b.org"));
  EXPECT_FALSE(allowed("https://a.org,https://b.org", "http://b.org"));
}

TEST(Origins, AListIsOfOrigins) {
  for (const char* good : {"local", "none", "*", "null", "https://a.org", "https://a.org,http://[::1]:3000,app://x"})
    EXPECT_NO_THROW(server::check_cors(good)) << good;
  for (const char* bad : {"", "a.org", "https://a.org/", "https://a.org,,https://b.org", "https://a.org, http://b"})
    EXPECT_THROW(server::check_cors(bad), Error) << bad;
}

TEST(Hosts, OnALoopbackAddressNamesMustBeKnown) {
  const auto allowed = [](const std::string& host, bool is_loopback) {
    return Access({{}, "local", {"Box.lan"}}, is_loopback).allows_host({"GET", "/", {{"host", host}}, "", false});
  };
  for (const char* good : {"localhost", "LOCALHOST:8080", "127.0.0.1:8080", "[::1]:8080", "box.lan"})
    EXPECT_TRUE(allowed(good, true)) << good;
  for (const char* bad : {"evil.org", "evil.org:8080", "127.0.0.1.evil.org", "[::1"})
    EXPECT_FALSE(allowed(bad, true)) << bad;
  EXPECT_TRUE(allowed("evil.org", false));
}

TEST(Errors, ThreeDialects) {
  const ApiError error(429, "queue_full", "full");
  EXPECT_EQ(error_response(error, Dialect::kOpenAI, "r").body,
            R"({"error":{"message":"full","type":"rate_limit_error","param":null,"code":"queue_full"}})");
  EXPECT_EQ(error_response(error, Dialect::kAnthropic, "r").body,
            R"({"type":"error","error":{"type":"rate_limit_error","message":"full"},"request_id":"r"})");
  EXPECT_EQ(error_response(error, Dialect::kOllama, "r").body, R"({"error":"full"})");
}

}  // namespace
}  // namespace g3n::testing
