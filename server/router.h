// The one table of what the server answers, and the checks that come before any of it: path, host, origin, key.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "server/access.h"
#include "server/http.h"
#include "server/json_fields.h"

namespace g3n::server {

enum class Endpoint {
  kHealth,
  kLive,
  kRoot,
  kWebFile,
  kMetrics,
  kModels,
  kModel,
  kProps,  // answered at once
  kTokenize,
  kDetokenize,
  kTokenizerInfo,
  kApplyTemplate,
  kChat,
  kChatInputTokens,
  kCompletions,  // by a worker
  kNotBuilt,     // of the API, not of this build
  kNoOutput,     // of the API; Gemma 3n makes nothing of the kind
};

// Whose words errors are in.
enum class Dialect { kOpenAI, kAnthropic, kOllama };

struct Route {
  std::string method, path;  // a path that ends in "*" takes whatever follows
  Endpoint endpoint;
  bool needs_key = true;
  std::string note;  // kNotBuilt, kNoOutput: what to use instead

  Dialect dialect() const;
};

const std::vector<Route>& routes();
// The table as text, one route a line.
std::string routes_text();

// A target's path: without query, decoded once. Throws ApiError 400.
std::string path_of_target(const std::string& target);

struct Routed {
  const Route* route = nullptr;
  std::string rest;                  // what "*" stands for
  std::vector<std::string> allowed;  // methods of the path, if none of its routes has the request's
};
Routed find_route(const std::string& method, const std::string& path);

// An error in the words of a dialect.
HttpResponse error_response(const ApiError& error, Dialect dialect, const std::string& request_id);
HttpResponse json_response(const JsonNode& body, int status = 200);

// The client's, if it is short and plain, else a random one.
std::string request_id_of(const HttpRequest& request);
std::string random_name(std::size_t characters);

// What every response carries; origin: of a page that may read it, or empty.
void add_common_headers(HttpResponse& response, const std::string& request_id, const std::string& origin);
// The answer to a CORS preflight.
HttpResponse preflight(const HttpRequest& request);

}  // namespace g3n::server
