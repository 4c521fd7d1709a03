#include "server/router.h"

#include <algorithm>
#include <mutex>
#include <random>

#include "core/utf8.h"

namespace g3n::server {
namespace {

std::vector<Route> make_routes() {
  std::vector<Route> table;
  // Also without /v1.
  const auto v1 = [&](const char* method, const std::string& path, Endpoint endpoint, bool needs_key = true,
                      const char* note = "") {
    table.push_back({method, "/v1" + path, endpoint, needs_key, note});
    table.push_back({method, path, endpoint, needs_key, note});
  };
  const auto plain = [&](const char* method, const char* path, Endpoint endpoint, bool needs_key = true,
                         const char* note = "") {
    table.push_back({method, path, endpoint, needs_key, note});
  };
  v1("GET", "/health", Endpoint::kHealth, false);
  plain("GET", "/live", Endpoint::kLive, false);
  plain("GET", "/metrics", Endpoint::kMetrics);
  v1("GET", "/models", Endpoint::kModels);
  v1("GET", "/models/*", Endpoint::kModel);
  v1("POST", "/chat/completions", Endpoint::kChat);
  v1("POST", "/chat/completions/input_tokens", Endpoint::kChatInputTokens);
  v1("POST", "/completions", Endpoint::kCompletions);
  plain("POST", "/tokenize", Endpoint::kTokenize);
  plain("POST", "/detokenize", Endpoint::kDetokenize);
  plain("GET", "/tokenizer_info", Endpoint::kTokenizerInfo);
  plain("POST", "/apply-template", Endpoint::kApplyTemplate);
  plain("GET", "/props", Endpoint::kProps);
  plain("GET", "/", Endpoint::kRoot, false);
  plain("GET", "/web/*", Endpoint::kWebFile, false);

  const char* chat = "use /v1/chat/completions";
  for (const char* path : {"/responses", "/responses/input_tokens", "/messages", "/messages/count_tokens"})
    v1("POST", path, Endpoint::kNotBuilt, true, chat);
  for (const char* path : {"/audio/transcriptions", "/audio/translations"})
    v1("POST", path, Endpoint::kNotBuilt, true, "send the sound as an input_audio part to /v1/chat/completions");
  for (const char* path : {"/api/version", "/api/tags", "/api/ps"}) plain("GET", path, Endpoint::kNotBuilt, true, chat);
  for (const char* path : {"/api/show", "/api/chat", "/api/generate", "/api/pull"})
    plain("POST", path, Endpoint::kNotBuilt, true, chat);

  for (const char* path : {"/embeddings", "/rerank"})
    v1("POST", path, Endpoint::kNoOutput, true,
       "Gemma 3n makes no embeddings: use an embedding model such as EmbeddingGemma");
  v1("POST", "/moderations", Endpoint::kNoOutput, true,
     "Gemma 3n is no classifier: use a safety model such as ShieldGemma");
  v1("POST", "/images/*", Endpoint::kNoOutput, true, "Gemma 3n makes no images: use an image model");
  v1("POST", "/audio/speech", Endpoint::kNoOutput, true, "Gemma 3n makes no sound: use a speech model");
  for (const char* path : {"/api/embed", "/api/embeddings"})
    plain("POST", path, Endpoint::kNoOutput, true,
          "Gemma 3n makes no embeddings: use an embedding model such as EmbeddingGemma");
  return table;
}

bool matches(const Route& route, const std::string& path, std::string& rest) {
  if (route.path.back() != '*') return route.path == path;
  const std::size_t fixed = route.path.size() - 1;
  if (path.size() <= fixed || path.compare(0, fixed, route.path, 0, fixed) != 0) return false;
  rest = path.substr(fixed);
  return true;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_plain(std::string_view text, std::size_t most) {
  return !text.empty() && text.size() <= most && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '_' ||
           c == '-';
  });
}

// Names that Anthropic's clients know.
const char* anthropic_type(int status) {
  switch (status) {
    case 401: return "authentication_error";
    case 403: return "permission_error";
    case 404: return "not_found_error";
    case 413: return "request_too_large";
    case 429: return "rate_limit_error";
    case 503: return "overloaded_error";
    default: return status >= 500 ? "api_error" : "invalid_request_error";
  }
}

}  // namespace

Dialect Route::dialect() const {
  if (path.compare(0, 5, "/api/") == 0) return Dialect::kOllama;
  const bool is_anthropic = path.find("/messages") != std::string::npos;
  return is_anthropic ? Dialect::kAnthropic : Dialect::kOpenAI;
}

const std::vector<Route>& routes() {
  static const std::vector<Route> kRoutes = make_routes();
  return kRoutes;
}

std::string routes_text() {
  std::string text;
  for (const Route& route : routes()) {
    text += (route.method + "     ").substr(0, 5) + route.path;
    if (!route.needs_key) text += "  (no key)";
    if (route.endpoint == Endpoint::kNotBuilt || route.endpoint == Endpoint::kNoOutput)
      text += "  (404 unsupported_endpoint: " + route.note + ")";
    text += "\n";
  }
  return text;
}

std::string path_of_target(const std::string& target) {
  const auto fail = [](const char* what) { throw ApiError(400, "invalid_value", std::string("the path: ") + what); };
  std::string raw = target.substr(0, target.find_first_of("?#"));
  if (const std::size_t scheme = raw.find("://"); scheme != std::string::npos && raw[0] != '/') {
    const std::size_t slash = raw.find('/', scheme + 3);
    raw = slash == std::string::npos ? "/" : raw.substr(slash);
  }
  if (raw.empty() || (raw[0] != '/' && raw != "*")) fail("expected one that begins with /");
  std::string path;
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] != '%') {
      path += raw[i];
      continue;
    }
    const int high = i + 2 < raw.size() ? hex_digit(raw[i + 1]) : -1, low = high >= 0 ? hex_digit(raw[i + 2]) : -1;
    if (low < 0) fail("expected two hexadecimal digits behind %");
    path += static_cast<char>(high * 16 + low);
    i += 2;
  }
  if (path.find('\0') != std::string::npos || path.find('\\') != std::string::npos)
    fail("NUL and backslash are not allowed");
  if (utf8_valid_prefix(path) < path.size()) fail("expected UTF-8");
  for (std::size_t from = 0; from < path.size();) {
    const std::size_t to = std::min(path.find('/', from), path.size());
    if (path.compare(from, to - from, "..") == 0) fail("'..' is not allowed");
    from = to + 1;
  }
  return path;
}

Routed find_route(const std::string& method, const std::string& path) {
  Routed found;
  for (const Route& route : routes()) {
    std::string rest;
    if (!matches(route, path, rest)) continue;
    if (route.method == method || (method == "HEAD" && route.method == "GET")) return {&route, rest, {}};
    if (std::find(found.allowed.begin(), found.allowed.end(), route.method) == found.allowed.end()) {
      found.allowed.push_back(route.method);
      if (route.method == "GET") found.allowed.push_back("HEAD");
    }
  }
  return found;
}

HttpResponse json_response(const JsonNode& body, int status) {
  return {status, {{"Content-Type", "application/json"}}, to_json(body), {}};
}

HttpResponse error_response(const ApiError& error, Dialect dialect, const std::string& request_id) {
  constexpr std::size_t kMostMessage = 300;
  std::string message = error.message;
  if (message.size() > kMostMessage) {
    message.resize(kMostMessage - 3);
    message.resize(utf8_valid_prefix(message));
    message += "...";
  }
  JsonNode body;
  switch (dialect) {
    case Dialect::kOpenAI:
      body =
          node(JsonObject{{"error", node(JsonObject{{"message", node(message)},
                                                    {"type", node(error.type())},
                                                    {"param", error.param.empty() ? node(nullptr) : node(error.param)},
                                                    {"code", node(error.code)}})}});
      break;
    case Dialect::kAnthropic:
      body = node(JsonObject{
          {"type", node("error")},
          {"error", node(JsonObject{{"type", node(anthropic_type(error.status))}, {"message", node(message)}})},
          {"request_id", node(request_id)}});
      break;
    case Dialect::kOllama: body = node(JsonObject{{"error", node(message)}}); break;
  }
  HttpResponse response = json_response(body, error.status);
  // Clients retry 408, 409, 429 and 5xx by themselves.
  if (error.status == 400 || error.status == 404 || error.status == 408)
    response.headers.emplace_back("x-should-retry", "false");
  if (error.status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  if (error.retry_seconds > 0) {
    response.headers.emplace_back("Retry-After", std::to_string(error.retry_seconds));
    response.headers.emplace_back("retry-after-ms", std::to_string(error.retry_seconds * 1000));
  }
  return response;
}

std::string random_name(std::size_t characters) {
  static constexpr std::string_view kAlphabet = "abcdefghijklmnopqrstuvwxyz0123456789";
  static std::mutex mutex;
  static std::mt19937_64 generator{[] {
    std::random_device device;
    return static_cast<std::uint64_t>(device()) << 32 | device();
  }()};
  std::lock_guard lock(mutex);
  std::string name;
  while (name.size() < characters) name += kAlphabet[generator() % kAlphabet.size()];
  return name;
}

std::string request_id_of(const HttpRequest& request) {
  const std::string* id = request.header("x-request-id");
  return id && is_plain(*id, 64) ? *id : "req_" + random_name(24);
}

void add_common_headers(HttpResponse& response, const std::string& request_id, const std::string& origin) {
  auto& headers = response.headers;
  headers.emplace_back("x-request-id", request_id);
  headers.emplace_back("X-Content-Type-Options", "nosniff");
  headers.emplace_back("Cross-Origin-Resource-Policy", origin.empty() ? "same-origin" : "cross-origin");
  headers.emplace_back("Referrer-Policy", "no-referrer");
  if (origin.empty()) return;
  headers.emplace_back("Access-Control-Allow-Origin", origin);
  headers.emplace_back("Access-Control-Expose-Headers",
                       "x-request-id, x-g3n-ignored, openai-processing-ms, Retry-After");
  headers.emplace_back("Vary", "Origin");
}

HttpResponse preflight(const HttpRequest& request) {
  HttpResponse response{204, {}, "", {}};
  response.headers.emplace_back("Access-Control-Allow-Methods", "GET, HEAD, POST, OPTIONS");
  if (const std::string* wanted = request.header("access-control-request-headers"))
    response.headers.emplace_back("Access-Control-Allow-Headers", *wanted);
  response.headers.emplace_back("Access-Control-Max-Age", "600");
  return response;
}

}  // namespace g3n::server
