// Server: `g3n serve`. Opens the port at once, loads the model in the background, answers until it is told to stop.
#pragma once
#include <functional>
#include <memory>

#include "server/service.h"

namespace g3n::server {

class Server {
 public:
  // Throws Error kInvalidArgument: the port; an address that others reach, without a key and allow_anonymous. `load` is
  // called once, from a thread of its own.
  Server(ServerOptions options, std::function<std::shared_ptr<Engine>()> load);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  std::uint16_t port() const;
  // Serves on this thread until the end. Throws what `load` threw.
  void run();
  // ---- any thread ----
  // Newcomers are refused; what runs has ServerOptions::drain to end. Called again: it ends at once.
  void shut_down();
  bool is_ready() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace g3n::server
