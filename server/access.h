// Who may call (spec/server.md 14.2): keys, the Host header against DNS rebinding, and origins of web pages.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/http.h"

namespace g3n::server {

struct ApiKey {
  std::string name, key;
};

struct AccessOptions {
  std::vector<ApiKey> keys;                // none: everybody
  std::string cors = "local";              // "local", "none", "*", or origins with commas between
  std::vector<std::string> allowed_hosts;  // names besides localhost and addresses
};

// Throws Error kInvalidArgument: neither a word nor origins, as browsers write them.
void check_cors(const std::string& cors);

// One key per line, an optional "name:" before it; blank lines and lines that begin with '#' are skipped. Throws Error
// kInvalidArgument if there is none.
std::vector<ApiKey> parse_keys(const std::string& text);

class Access {
 public:
  Access(AccessOptions options, bool is_loopback) : options_(std::move(options)), is_loopback_(is_loopback) {}

  // Of the I/O thread, as all others here.
  void set_keys(std::vector<ApiKey> keys) { options_.keys = std::move(keys); }
  std::size_t keys() const { return options_.keys.size(); }
  bool needs_key() const { return keys() > 0; }
  // The name of the key that came with a request; empty if none of them did. Takes as long whatever came.
  std::optional<std::string> key_name(const HttpRequest& request) const;
  // Whether the Host header may stand there.
  bool allows_host(const HttpRequest& request) const;
  // Whether a page of the request's Origin may call; true without one.
  bool allows_origin(const HttpRequest& request) const;

 private:
  bool is_known_host(std::string_view host) const;

  AccessOptions options_;
  bool is_loopback_;
};

}  // namespace g3n::server
