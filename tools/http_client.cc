#include "tools/http_client.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <stdexcept>

namespace g3n::tools {

void fail(const std::string& what) { throw std::runtime_error(what); }

std::string get(const std::string& path) { return "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n"; }
std::string post(const std::string& path, const std::string& body) {
  return "POST " + path + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

void HttpClient::open() {
  fd_ = ::socket(AF_INET, SOCK_STREAM, 0);
  const int on = 1;
  ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port_));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fail("cannot connect");
}

void HttpClient::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  buffer_.clear();
}

void HttpClient::send(const std::string& bytes) {
  if (fd_ < 0) open();
  for (std::size_t at = 0; at < bytes.size();) {
    const ssize_t n = ::send(fd_, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
    if (n <= 0) fail("the server closed a connection");
    at += static_cast<std::size_t>(n);
  }
}

HttpReply HttpClient::receive(const std::function<void(const std::string&)>& on_chunk) {
  const std::string head = until("\r\n\r\n");
  HttpReply reply{std::stoi(head.substr(9, 3)), ""};
  if (head.find("Transfer-Encoding: chunked") != std::string::npos) {
    for (;;) {
      const std::size_t size = std::stoul(until("\r\n"), nullptr, 16);
      const std::string chunk = exactly(size);
      exactly(2);
      if (size == 0) break;
      if (on_chunk) on_chunk(chunk);
      reply.body += chunk;
    }
  } else if (const auto at = head.find("Content-Length: "); at != std::string::npos) {
    reply.body = exactly(std::stoul(head.substr(at + 16)));
  }
  if (head.find("Connection: close") != std::string::npos) close();
  return reply;
}

void HttpClient::receive_and_leave(std::size_t bytes) {
  while (buffer_.size() < bytes && buffer_.find("\r\n0\r\n\r\n") == std::string::npos && more()) {
  }
  close();
}

bool HttpClient::more() {
  char bytes[65536];
  const ssize_t n = ::recv(fd_, bytes, sizeof bytes, 0);
  if (n <= 0) return false;
  buffer_.append(bytes, static_cast<std::size_t>(n));
  return true;
}

std::string HttpClient::until(const std::string& end) {
  std::size_t at = 0;
  while ((at = buffer_.find(end)) == std::string::npos)
    if (!more()) fail("an answer is lost");
  const std::string text = buffer_.substr(0, at);
  buffer_.erase(0, at + end.size());
  return text;
}

std::string HttpClient::exactly(std::size_t size) {
  while (buffer_.size() < size)
    if (!more()) fail("an answer is cut");
  const std::string text = buffer_.substr(0, size);
  buffer_.erase(0, size);
  return text;
}

}  // namespace g3n::tools
