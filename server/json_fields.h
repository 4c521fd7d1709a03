// A JSON request read field by field: name, type, range, default. Whatever is wrong is an ApiError that names the JSON
// path; what no one asked for is collected, so that nothing is dropped in silence.
#pragma once
#include <cstdint>
#include <exception>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "json/tree.h"
#include "json/writer.h"

namespace g3n::server {

// An error response (spec/server.md 3).
struct ApiError : std::exception {
  ApiError(int status_, std::string code_, std::string message_, std::string param_ = "")
      : status(status_), code(std::move(code_)), message(std::move(message_)), param(std::move(param_)) {}
  const char* what() const noexcept override { return message.c_str(); }
  const char* type() const;  // "invalid_request_error", ... by the status

  int status;
  std::string code, message;
  std::string param;      // JSON path of the culprit; empty: null
  int retry_seconds = 0;  // Retry-After; 0: none
};

// ---- writing ----
template <class T>
JsonNode node(T value) {
  if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, std::nullptr_t>)
    return JsonNode{value};
  else if constexpr (std::is_integral_v<T>)
    return JsonNode{static_cast<std::int64_t>(value)};
  else if constexpr (std::is_floating_point_v<T>)
    return JsonNode{static_cast<double>(value)};
  else if constexpr (std::is_convertible_v<T, std::string>)
    return JsonNode{std::string(std::move(value))};
  else
    return JsonNode{std::move(value)};
}

// ---- reading ----
// The whole body: UTF-8, at most 64 levels, no key twice, nothing behind it. Throws ApiError invalid_json.
JsonNode parse_body(const std::string& body);

// "a string", "an integer", ...: what a value is, for messages.
std::string kind_of(const JsonNode& value);
// Text of a client in a message: escaped, at most 40 characters.
std::string quoted(std::string_view text);

[[noreturn]] void fail_type(const std::string& path, const std::string& wanted, const JsonNode& found);
[[noreturn]] void fail_value(const std::string& path, const std::string& wanted, const std::string& found);
[[noreturn]] void fail_unsupported(const std::string& path, const std::string& message);

// Of one value; integers may be written 5.0.
std::int64_t integer_at(const JsonNode& value, const std::string& path, std::int64_t least, std::int64_t most);
double number_at(const JsonNode& value, const std::string& path, double least, double most);
bool boolean_at(const JsonNode& value, const std::string& path);
const std::string& text_at(const JsonNode& value, const std::string& path);
const JsonList& list_at(const JsonNode& value, const std::string& path, std::size_t most);
const JsonObject& object_at(const JsonNode& value, const std::string& path);

class Fields {
 public:
  // An object; path: "" for the request itself. Throws ApiError if it is none.
  Fields(const JsonNode& value, std::string path);

  // The value of a field, which counts as known from now on; null if it is absent or JSON's null.
  const JsonNode* find(std::string_view name);
  const JsonNode& required(std::string_view name);
  std::string path_of(std::string_view name) const;

  std::optional<std::int64_t> integer(std::string_view name, std::int64_t least, std::int64_t most);
  std::optional<double> number(std::string_view name, double least, double most);
  std::optional<bool> boolean(std::string_view name);
  std::optional<std::string> text(std::string_view name);

  // It has no effect: listed among the ignored if it is there.
  void ignore(std::string_view name);
  // The ignored fields of an object inside this one.
  void take_ignored(Fields& inner);
  // Throws unsupported_parameter if it is there and not null (nor an empty list or object).
  void refuse(std::string_view name, const std::string& why);
  // It may only have this value, which changes nothing.
  void neutral(std::string_view name, double value);

  // All fields that were ignored, and all that nobody knew. Throws under strict if there is one.
  std::vector<std::string> ignored(bool is_strict);

 private:
  const JsonObject& object_;
  const std::string path_;
  std::set<std::string, std::less<>> known_;
  std::vector<std::string> ignored_;
};

}  // namespace g3n::server
