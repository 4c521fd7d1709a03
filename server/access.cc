#include "server/access.h"

#include <algorithm>
#include <sstream>

#include "core/ascii.h"
#include "core/printable.h"
#include "core/split.h"
#include "g3n/error.h"

namespace g3n::server {
namespace {

// Looks at every byte of `found`, whatever the first ones are.
bool is_equal(std::string_view found, std::string_view key) {
  unsigned difference = found.size() != key.size();
  for (std::size_t i = 0; i < found.size(); ++i)
    difference |= static_cast<unsigned char>(found[i]) ^ static_cast<unsigned char>(key[i % key.size()]);
  return difference == 0;
}

// "name:8080" or "[::1]:8080" without the port.
std::string_view host_of(std::string_view authority) {
  if (!authority.empty() && authority[0] == '[') return authority.substr(0, authority.find(']') + 1);
  return authority.substr(0, authority.find(':'));
}

bool is_ip_literal(std::string_view host) {
  if (!host.empty() && host[0] == '[') return host.back() == ']';
  int dots = 0;
  for (const char c : host) {
    if (c == '.')
      ++dots;
    else if (c < '0' || c > '9')
      return false;
  }
  return dots == 3;
}

bool is_local(std::string_view host) {
  return host == "localhost" || host == "[::1]" || (is_ip_literal(host) && host.substr(0, 4) == "127.");
}

}  // namespace

void check_cors(const std::string& cors) {
  if (cors == "local" || cors == "none" || cors == "*") return;
  for (const std::string& origin : split(cors, ',')) {
    const std::size_t slashes = origin.find("://");
    const bool is_origin = slashes != std::string::npos && slashes > 0 && slashes + 3 < origin.size() &&
                           origin.find('/', slashes + 3) == std::string::npos &&
                           origin.find_first_of(" \t") == std::string::npos;
    if (!is_origin && origin != "null")
      throw Error(ErrorCode::kInvalidArgument,
                  "expected local, none, * or origins such as https://example.org with commas between, found '" +
                      printable_start(origin, 60) + "'");
  }
}

std::vector<ApiKey> parse_keys(const std::string& text) {
  std::vector<ApiKey> keys;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ' || line.back() == '\t')) line.pop_back();
    if (line.empty() || line[0] == '#') continue;
    const std::size_t colon = line.find(':');
    ApiKey key{"key " + std::to_string(keys.size() + 1), line};
    if (colon != std::string::npos) key = {line.substr(0, colon), line.substr(colon + 1)};
    if (key.key.empty()) throw Error(ErrorCode::kInvalidArgument, "API keys: a line holds a name and no key");
    keys.push_back(std::move(key));
  }
  if (keys.empty()) throw Error(ErrorCode::kInvalidArgument, "API keys: expected at least one key, found none");
  return keys;
}

std::optional<std::string> Access::key_name(const HttpRequest& request) const {
  std::string found;
  if (const std::string* header = request.header("authorization");
      header && ascii_lower(header->substr(0, 7)) == "bearer ")
    found = header->substr(7);
  else if (const std::string* other = request.header("x-api-key"))
    found = *other;
  const ApiKey* match = nullptr;
  for (const ApiKey& key : options_.keys)
    if (is_equal(found, key.key)) match = &key;
  return match ? std::optional(match->name) : std::nullopt;
}

bool Access::is_known_host(std::string_view host) const {
  return host == "localhost" || is_ip_literal(host) ||
         std::any_of(options_.allowed_hosts.begin(), options_.allowed_hosts.end(),
                     [&](const std::string& allowed) { return ascii_lower(allowed) == host; });
}

bool Access::allows_host(const HttpRequest& request) const {
  if (!is_loopback_) return true;
  const std::string* host = request.header("host");
  return !host || host->empty() || is_known_host(ascii_lower(host_of(*host)));
}

bool Access::allows_origin(const HttpRequest& request) const {
  const std::string* header = request.header("origin");
  if (!header || options_.cors == "*") return true;
  const std::string origin = ascii_lower(*header);
  const std::size_t slashes = origin.find("://");
  const std::string scheme = origin.substr(0, origin.find(':'));
  const std::string authority = slashes == std::string::npos ? "" : origin.substr(slashes + 3);
  // The server's own page; a name that anybody may have pointed here counts only if a key is needed as well.
  const std::string* host = request.header("host");
  if (host && !authority.empty() && ascii_lower(*host) == authority &&
      (needs_key() || is_known_host(host_of(authority))))
    return true;
  if (options_.cors == "none") return false;
  if (options_.cors == "local") {
    for (const char* app : {"vscode-webview", "app", "tauri", "capacitor"})
      if (scheme == app) return true;
    return (scheme == "http" || scheme == "https") && is_local(host_of(authority));
  }
  std::istringstream list(options_.cors);
  for (std::string allowed; std::getline(list, allowed, ',');)
    if (ascii_lower(allowed) == origin) return true;
  return false;
}

}  // namespace g3n::server
