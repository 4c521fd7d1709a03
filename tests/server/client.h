// A client for tests: raw HTTP over loopback, and a server with a model of the test's own.
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "json/tree.h"
#include "server/server.h"
#include "support/fake_model.h"

namespace g3n::testing {

struct Reply {
  int status = 0;
  std::string head, body;  // chunks joined

  std::string header(const std::string& name) const;  // name as in the response
  JsonNode json() const;
  // The value at "error.code" and the like, as text; "" if it is not there.
  std::string at(const std::string& path) const;
};
std::string text_at(const JsonNode& node, const std::string& path);
// The JSON of each frame but [DONE]; comments are left out.
std::vector<JsonNode> frames(const std::string& body);

// Lines of the log, from any thread.
class ServerLog {
 public:
  std::function<void(const std::string&)> sink() {
    return [this](const std::string& line) {
      std::lock_guard lock(mutex_);
      lines_.push_back(line);
    };
  }
  std::vector<std::string> lines() const {
    std::lock_guard lock(mutex_);
    return lines_;
  }
  std::string text() const {  // each with its end of line
    std::string all;
    for (const std::string& line : lines()) all += line + "\n";
    return all;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

class Socket {
 public:
  // receive_bytes: of the kernel's buffer, for readers that do not follow; 0: the system's.
  explicit Socket(std::uint16_t port, int receive_bytes = 0);
  explicit Socket(const std::string& unix_path);
  ~Socket();
  Socket(const Socket&) = delete;
  void send(const std::string& bytes) const;
  // The next response. status 0: the connection ended before one.
  Reply reply(bool is_head = false);
  // What has come; "" at the end or after 5 s.
  std::string some();
  bool is_closed();  // by the server, within 5 s
  void half_close() const;
  void close();

 private:
  int fd_ = -1;
  std::string buffer_;
};

std::string get(const std::string& path, const std::string& headers = "");
std::string post(const std::string& path, const std::string& body, const std::string& headers = "");

inline constexpr const char* kChat = "/v1/chat/completions";
inline constexpr const char* kHi = R"("messages":[{"role":"user","content":"hi"}])";
// A chat of kHi, with these fields beside it.
std::string chat(const std::string& more, const std::string& headers = "");

class TestServer {
 public:
  explicit TestServer(std::shared_ptr<Engine> engine, server::ServerOptions options = {});
  TestServer(std::function<std::shared_ptr<Engine>()> load, server::ServerOptions options);
  ~TestServer();
  std::uint16_t port() const { return server_->port(); }
  server::Server& server() { return *server_; }
  void wait_until_ready() const;
  Reply ask(const std::string& request) const;
  std::string metric(const std::string& line_begin) const;  // the value behind it
  void join();

 private:
  std::unique_ptr<server::Server> server_;
  std::thread thread_;
};

// The demo's tokenizer and template over a scripted model, which answers with this text.
std::shared_ptr<Engine> fake_engine(const std::string& answer, FakeModelOptions options = {}, std::int64_t context = 0,
                                    std::int64_t max_sequences = 16);
// Whether this comes true within 5 s.
bool comes_true(const std::function<bool()>& condition);
// Nothing runs or waits, and no memory is held but for prompts that begin like one before.
bool is_idle(const Engine& engine);
std::string base64(const std::string& bytes);
std::string file_bytes(const std::string& path);

}  // namespace g3n::testing
