#include "server/client.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "golden/demo.h"
#include "json/writer.h"
#include "runtime/engine_impl.h"

namespace g3n::testing {

std::string Reply::header(const std::string& name) const {
  const std::size_t at = head.find("\r\n" + name + ": ");
  if (at == std::string::npos) return "";
  const std::size_t from = at + name.size() + 4;
  return head.substr(from, head.find("\r\n", from) - from);
}

JsonNode Reply::json() const { return parse_json_tree(body, "reply"); }
std::string Reply::at(const std::string& path) const { return text_at(json(), path); }

std::string text_at(const JsonNode& node, const std::string& path) {
  const JsonNode* at = &node;
  std::istringstream steps(path);
  for (std::string step; std::getline(steps, step, '.');) {
    if (at->list()) {
      const std::size_t index = std::stoul(step);
      if (index >= at->list()->size()) return "";
      at = &(*at->list())[index];
    } else {
      at = at->find(step);
      if (!at) return "";
    }
  }
  return at->text() ? *at->text() : to_json(*at);
}

std::vector<JsonNode> frames(const std::string& body) {
  std::vector<JsonNode> out;
  for (std::size_t from = 0; from < body.size();) {
    const std::size_t to = body.find("\n\n", from);
    if (to == std::string::npos) throw std::runtime_error("a frame without an end: " + body.substr(from));
    const std::string frame = body.substr(from, to - from);
    from = to + 2;
    if (frame[0] == ':' || frame == "data: [DONE]") continue;
    if (frame.substr(0, 6) != "data: ") throw std::runtime_error("no frame: " + frame);
    out.push_back(parse_json_tree(frame.substr(6), "frame"));
  }
  return out;
}

Socket::Socket(std::uint16_t port, int receive_bytes) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
  if (receive_bytes) ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) throw std::runtime_error("connect");
}
Socket::Socket(const std::string& unix_path) : fd_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  unix_path.copy(address.sun_path, sizeof address.sun_path - 1);
  if (::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) throw std::runtime_error("connect");
}
Socket::~Socket() { close(); }
void Socket::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}
void Socket::half_close() const { ::shutdown(fd_, SHUT_WR); }

void Socket::send(const std::string& bytes) const {
  for (std::size_t at = 0; at < bytes.size();) {
    const ssize_t n = ::send(fd_, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
    if (n <= 0) return;
    at += static_cast<std::size_t>(n);
  }
}

namespace {
constexpr int kPatienceMs = 60000;  // a sanitized build is twenty times slower
}  // namespace

std::string Socket::some() {
  if (!buffer_.empty()) return std::exchange(buffer_, {});
  pollfd waiting{fd_, POLLIN, 0};
  if (::poll(&waiting, 1, kPatienceMs) <= 0) return "";
  char bytes[65536];
  const ssize_t n = ::recv(fd_, bytes, sizeof bytes, 0);
  return n > 0 ? std::string(bytes, static_cast<std::size_t>(n)) : "";
}

bool Socket::is_closed() {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
  while (std::chrono::steady_clock::now() < end) {
    pollfd waiting{fd_, POLLIN, 0};
    if (::poll(&waiting, 1, 100) <= 0) continue;
    char bytes[4096];
    if (::recv(fd_, bytes, sizeof bytes, 0) <= 0) return true;
  }
  return false;
}

Reply Socket::reply(bool is_head) {
  std::string in;
  const auto more = [&] {
    const std::string piece = some();
    in += piece;
    return !piece.empty();
  };
  Reply reply;
  std::size_t end = 0;
  while ((end = in.find("\r\n\r\n")) == std::string::npos)
    if (!more()) return reply;
  reply.head = in.substr(0, end + 2);
  in.erase(0, end + 4);
  reply.status = std::stoi(reply.head.substr(9, 3));
  if (is_head || reply.status == 204) {
  } else if (reply.header("Transfer-Encoding") == "chunked") {
    for (;;) {
      std::size_t line = 0;
      while ((line = in.find("\r\n")) == std::string::npos)
        if (!more()) return reply;
      const std::size_t size = std::stoul(in.substr(0, line), nullptr, 16);
      while (in.size() < line + 4 + size)
        if (!more()) return reply;
      reply.body += in.substr(line + 2, size);
      in.erase(0, line + 4 + size);
      if (size == 0) break;
    }
  } else if (const std::string length = reply.header("Content-Length"); !length.empty()) {
    while (in.size() < std::stoul(length))
      if (!more()) return reply;
    reply.body = in.substr(0, std::stoul(length));
    in.erase(0, reply.body.size());
  } else {
    while (more()) {
    }
    reply.body = std::exchange(in, {});
  }
  buffer_ = in;
  return reply;
}

std::string get(const std::string& path, const std::string& headers) {
  return "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n" + headers + "\r\n";
}
std::string post(const std::string& path, const std::string& body, const std::string& headers) {
  return "POST " + path + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n" + headers + "\r\n" + body;
}

namespace {

server::ServerOptions on_a_free_port(server::ServerOptions options) {
  options.http.port = 0;
  if (options.model_id.empty()) options.model_id = "demo";
  return options;
}

}  // namespace

std::string chat(const std::string& more, const std::string& headers) {
  return post(kChat, std::string("{") + kHi + (more.empty() ? "" : ",") + more + "}", headers);
}

TestServer::TestServer(std::function<std::shared_ptr<Engine>()> load, server::ServerOptions options)
    : server_(std::make_unique<server::Server>(on_a_free_port(std::move(options)), std::move(load))), thread_([this] {
        try {
          server_->run();
        } catch (const std::exception&) {
        }
      }) {}

TestServer::TestServer(std::shared_ptr<Engine> engine, server::ServerOptions options)
    : TestServer([engine] { return engine; }, std::move(options)) {
  wait_until_ready();
}

TestServer::~TestServer() {
  if (!thread_.joinable()) return;
  server_->shut_down();
  server_->shut_down();
  thread_.join();
}

void TestServer::join() { thread_.join(); }

void TestServer::wait_until_ready() const {
  if (!comes_true([this] { return server_->is_ready(); })) throw std::runtime_error("the server is not ready");
}

Reply TestServer::ask(const std::string& request) const {
  Socket socket(port());
  socket.send(request);
  return socket.reply();
}

std::string TestServer::metric(const std::string& line_begin) const {
  const std::string text = ask(get("/metrics")).body;
  const std::size_t at = text.find("\n" + line_begin);
  if (at == std::string::npos) return "";
  const std::size_t end = text.find('\n', at + 1), space = text.rfind(' ', end);
  return text.substr(space + 1, end - space - 1);
}

std::shared_ptr<Engine> fake_engine(const std::string& answer, FakeModelOptions options, std::int64_t context,
                                    std::int64_t max_sequences) {
  EngineOptions engine;
  engine.model = demo_folder();
  engine.load_weights = false;
  engine.context = context;
  engine.max_sequences = max_sequences;
  const auto tokens = Engine::open(engine);
  options.vocab_size = tokens->info().vocab_size;
  options.hidden_size = tokens->info().hidden_size;
  if (!answer.empty()) options.script = tokens->encode(answer);
  return EngineAccess::open_over(std::make_unique<FakeModel>(options), engine);
}

bool is_idle(const Engine& engine) {
  const Stats stats = engine.stats();
  return stats.running == 0 && stats.waiting == 0 && stats.cache_bytes == stats.idle_cache_bytes;
}

bool comes_true(const std::function<bool()>& condition) {
  for (int i = 0; i < kPatienceMs / 10; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return condition();
}

std::string base64(const std::string& bytes) {
  static constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t bits = 0;
    for (std::size_t k = 0; k < 3; ++k)
      bits = bits << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    for (std::size_t k = 0; k < 4; ++k) out += i + k > bytes.size() ? '=' : kAlphabet[bits >> (18 - 6 * k) & 63];
  }
  return out;
}

std::string file_bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

}  // namespace g3n::testing
