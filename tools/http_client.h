// A blocking HTTP/1.1 client of this machine's own servers, for load and benchmarks. Throws std::runtime_error.
#pragma once
#include <functional>
#include <string>

namespace g3n::tools {

[[noreturn]] void fail(const std::string& what);

struct HttpReply {
  int status = 0;
  std::string body;  // chunks joined
};

std::string get(const std::string& path);
std::string post(const std::string& path, const std::string& body);

class HttpClient {
 public:
  explicit HttpClient(int port) : port_(port) {}
  ~HttpClient() { close(); }
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Connects if need be; the connection is kept.
  void send(const std::string& bytes);
  // The next response. on_chunk: of a streamed one, as its pieces come.
  HttpReply receive(const std::function<void(const std::string&)>& on_chunk = {});
  // So many bytes of a streamed response, or all of it, then nothing more.
  void receive_and_leave(std::size_t bytes);
  void close();

 private:
  void open();
  bool more();
  std::string until(const std::string& end);
  std::string exactly(std::size_t size);

  const int port_;
  int fd_ = -1;
  std::string buffer_;
};

}  // namespace g3n::tools
