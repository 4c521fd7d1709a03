// The page in the browser: every file of server/web is served as it is, with headers that keep it on this server, and
// refers to nothing outside. What the page does is tested in a browser: tests/page.
#include "server/web_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <future>
#include <regex>
#include <set>

#include "server/client.h"
#include "support/source_path.h"

namespace g3n::testing {
namespace {

using namespace server;
using ::testing::IsSupersetOf;
using ::testing::UnorderedElementsAreArray;

const std::string kFolder = source_path("server/web/");
const char* kHtml = "Accept: text/html,application/xhtml+xml;q=0.9\r\n";

class Page : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { server_ = new TestServer(fake_engine("a red circle ")); }
  static void TearDownTestSuite() { delete server_; }
  static Reply ask(const std::string& request) { return server_->ask(request); }
  static TestServer* server_;
};
TestServer* Page::server_ = nullptr;

void expect_page_headers(const Reply& reply) {
  EXPECT_EQ(reply.header("Content-Security-Policy"),
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src blob:; "
            "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'");
  EXPECT_EQ(reply.header("Cache-Control"), "no-cache");
  EXPECT_EQ(reply.header("ETag").size(), 18u);
  EXPECT_EQ(reply.header("X-Content-Type-Options"), "nosniff");
  EXPECT_EQ(reply.header("Cross-Origin-Resource-Policy"), "same-origin");
  EXPECT_EQ(reply.header("Referrer-Policy"), "no-referrer");
}

TEST_F(Page, BrowsersGetThePageOthersALine) {
  const Reply page = ask(get("/", kHtml));
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.header("Content-Type"), "text/html; charset=utf-8");
  EXPECT_EQ(page.header("Vary"), "Accept");
  EXPECT_EQ(page.body, file_bytes(kFolder + "index.html"));
  expect_page_headers(page);
  for (const char* accept : {"", "Accept: */*\r\n", "Accept: application/json\r\n"}) {
    const Reply line = ask(get("/", accept));
    EXPECT_EQ(line.body, "g3n is running\n") << accept;
    EXPECT_EQ(line.header("Content-Type"), "text/plain; charset=utf-8");
    EXPECT_EQ(line.header("Vary"), "Accept");
  }
}

TEST_F(Page, EveryFileIsServedAsItIs) {
  std::vector<std::string> in_folder, in_program;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder))
    in_folder.push_back(entry.path().filename().string());
  std::size_t bytes = 0;
  for (const WebFile& file : web_files()) {
    in_program.emplace_back(file.name);
    bytes += file.content.size();
    if (file.name == "index.html") continue;
    const Reply reply = ask(get("/web/" + std::string(file.name)));
    EXPECT_EQ(reply.status, 200) << file.name;
    EXPECT_EQ(reply.body, file_bytes(kFolder + std::string(file.name))) << file.name;
    expect_page_headers(reply);
    const std::string ending = std::filesystem::path(file.name).extension().string();
    EXPECT_EQ(reply.header("Content-Type"), ending == ".js"    ? "text/javascript; charset=utf-8"
                                            : ending == ".css" ? "text/css; charset=utf-8"
                                                               : "image/svg+xml");
  }
  EXPECT_THAT(in_program, UnorderedElementsAreArray(in_folder));
  EXPECT_LE(bytes, 150'000u);
}

TEST_F(Page, WhatIsNoFileIsA404) {
  for (const char* path : {"/web/nothing.js", "/web/index.html", "/web/", "/web/app.js/"})
    EXPECT_EQ(ask(get(path)).at("error.code"), "not_found") << path;
  EXPECT_EQ(ask(get("/web/../web/app.js")).status, 400);
  EXPECT_EQ(ask(post("/web/app.js", "{}")).status, 405);
}

TEST_F(Page, HeadAndWhatTheClientHasAlready) {
  Socket socket(server_->port());
  socket.send(std::string("HEAD / HTTP/1.1\r\nHost: localhost\r\n") + kHtml + "\r\n" +
              "HEAD /web/app.js HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const Reply page = socket.reply(true), script = socket.reply(true);
  EXPECT_EQ(page.header("Content-Length"), std::to_string(file_bytes(kFolder + "index.html").size()));
  EXPECT_EQ(script.header("Content-Length"), std::to_string(file_bytes(kFolder + "app.js").size()));
  const std::string etag = script.header("ETag");
  for (const std::string& tags : {etag, "W/" + etag, "\"other\", " + etag, std::string("*")}) {
    socket.send(get("/web/app.js", "If-None-Match: " + tags + "\r\n"));
    const Reply same = socket.reply(true);
    EXPECT_EQ(same.status, 304) << tags;
    EXPECT_EQ(same.header("Content-Length"), "");
    expect_page_headers(same);
  }
  socket.send(get("/web/app.js", "If-None-Match: \"other\"\r\n"));
  EXPECT_EQ(socket.reply().body, file_bytes(kFolder + "app.js"));  // the connection is still in step
}

TEST(PageAccess, NeedsNoKeyAndNoModel) {
  ServerOptions options;
  options.access.keys = parse_keys("secret");
  std::promise<void> go;
  const std::shared_future<void> loaded = go.get_future().share();
  TestServer server(
      [loaded] {
        loaded.wait();
        return fake_engine("red ");
      },
      options);
  EXPECT_EQ(server.ask(get("/", kHtml)).status, 200);
  EXPECT_EQ(server.ask(get("/web/app.js")).status, 200);
  EXPECT_EQ(server.ask(get("/props")).status, 401);
  go.set_value();
}

// All matches of the first group.
std::vector<std::string> matches(const std::string& text, const std::string& pattern) {
  const std::regex regex(pattern);
  std::vector<std::string> found;
  for (std::sregex_iterator it(text.begin(), text.end(), regex), end; it != end; ++it) found.push_back((*it)[1]);
  return found;
}

TEST(PageSources, ReferToNothingOutside) {
  std::set<std::string> imported, names;
  for (const WebFile& file : web_files()) {
    const std::string text(file.content);
    names.emplace(file.name);
    for (const char* forbidden :
         {"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "createContextualFragment", "eval(",
          "new Function", "@import", "url(", " style=", "importScripts", "setHTML"})
      EXPECT_EQ(text.find(forbidden), std::string::npos) << file.name << " holds " << forbidden;
    for (const std::string& url : matches(text, R"(["'`(]((?:[a-zA-Z]+:)?//[^"'`)\s]+))"))
      EXPECT_EQ(url, "http://www.w3.org/2000/svg") << file.name;  // a name, nothing is fetched from there
    for (const std::string& url : matches(text, R"re((?:src|href)="([^"#][^"]*)")re"))
      EXPECT_EQ(url.compare(0, 4, "web/"), 0) << file.name << " refers to " << url;
    for (const std::string& module : matches(text, R"re((?:from|import) "([^"]+)")re")) {
      EXPECT_EQ(module.compare(0, 2, "./"), 0) << file.name << " imports " << module;
      imported.insert(module.substr(2));
    }
  }
  EXPECT_THAT(names, IsSupersetOf(imported));
}

}  // namespace
}  // namespace g3n::testing
