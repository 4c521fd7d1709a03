#include "server/json_fields.h"

#include <cmath>

#include "core/printable.h"
#include "core/utf8.h"

namespace g3n::server {
namespace {

constexpr int kMostDepth = 64;
constexpr std::int64_t kMostValues = 5'000'000;  // 128 prompts of 32,768 ids are 4.2 million

std::string range_text(const std::string& what, double least, double most) {
  const auto number = [](double value) {
    return to_json(value == std::floor(value) && std::abs(value) < 1e15 ? node(static_cast<std::int64_t>(value))
                                                                        : node(value));
  };
  if (most >= 9e18) return what + " of at least " + number(least);
  return what + " from " + number(least) + " to " + number(most);
}

}  // namespace

const char* ApiError::type() const {
  switch (status) {
    case 401: return "authentication_error";
    case 403: return "permission_error";
    case 429: return "rate_limit_error";
    default: return status >= 500 ? "server_error" : "invalid_request_error";
  }
}

JsonNode parse_body(const std::string& body) {
  if (const std::size_t valid = utf8_valid_prefix(body); valid < body.size())
    throw ApiError(400, "invalid_json",
                   "expected JSON in UTF-8, found a byte that is none at byte " + std::to_string(valid));
  try {
    return parse_json_tree(
        body, "body", {.max_depth = kMostDepth, .max_values = kMostValues, .duplicates = JsonDuplicates::kRefused});
  } catch (const JsonError& error) {
    throw ApiError(
        400, "invalid_json",
        "expected JSON, found at byte " + std::to_string(error.byte()) + ": " + printable_start(error.reason(), 200));
  } catch (const Error& error) {
    throw ApiError(400, "invalid_json", printable_start(error.what(), 250));
  }
}

std::string kind_of(const JsonNode& value) {
  static constexpr const char* kKinds[] = {"null",     "a boolean", "an integer", "a number",
                                           "a string", "a list",    "an object"};
  return kKinds[value.value.index()];
}

std::string quoted(std::string_view text) {
  constexpr std::size_t kMost = 40;
  std::string cut;
  std::size_t characters = 0;
  while (!text.empty() && characters < kMost) {
    const Utf8Step step = utf8_step(text);
    cut += text.substr(0, step.size);
    text.remove_prefix(step.size);
    ++characters;
  }
  return json_string(printable(cut) + (text.empty() ? "" : "..."));
}

void fail_type(const std::string& path, const std::string& wanted, const JsonNode& found) {
  throw ApiError(400, "invalid_type", "expected " + wanted + ", found " + kind_of(found), path);
}
void fail_value(const std::string& path, const std::string& wanted, const std::string& found) {
  throw ApiError(400, "invalid_value", "expected " + wanted + ", found " + found, path);
}
void fail_unsupported(const std::string& path, const std::string& message) {
  throw ApiError(400, "unsupported_parameter", message, path);
}

std::int64_t integer_at(const JsonNode& value, const std::string& path, std::int64_t least, std::int64_t most) {
  const std::string wanted = range_text("an integer", static_cast<double>(least), static_cast<double>(most));
  std::int64_t number = 0;
  if (const auto* integer = std::get_if<std::int64_t>(&value.value)) {
    number = *integer;
  } else if (const auto* real = std::get_if<double>(&value.value)) {
    if (*real != std::floor(*real)) fail_type(path, "an integer", value);
    if (!(std::abs(*real) < 0x1p63)) fail_value(path, wanted, to_json(value));
    number = static_cast<std::int64_t>(*real);
  } else {
    fail_type(path, "an integer", value);
  }
  if (number < least || number > most) fail_value(path, wanted, std::to_string(number));
  return number;
}

double number_at(const JsonNode& value, const std::string& path, double least, double most) {
  double number = 0;
  if (const auto* integer = std::get_if<std::int64_t>(&value.value))
    number = static_cast<double>(*integer);
  else if (const auto* real = std::get_if<double>(&value.value))
    number = *real;
  else
    fail_type(path, "a number", value);
  if (!(number >= least && number <= most)) fail_value(path, range_text("a number", least, most), to_json(value));
  return number;
}

bool boolean_at(const JsonNode& value, const std::string& path) {
  if (!value.boolean()) fail_type(path, "a boolean", value);
  return *value.boolean();
}

const std::string& text_at(const JsonNode& value, const std::string& path) {
  if (!value.text()) fail_type(path, "a string", value);
  return *value.text();
}

const JsonList& list_at(const JsonNode& value, const std::string& path, std::size_t most) {
  if (!value.list()) fail_type(path, "a list", value);
  if (value.list()->size() > most)
    fail_value(path, "at most " + std::to_string(most) + " entries", std::to_string(value.list()->size()));
  return *value.list();
}

const JsonObject& object_at(const JsonNode& value, const std::string& path) {
  if (!value.object()) fail_type(path, "an object", value);
  return *value.object();
}

Fields::Fields(const JsonNode& value, std::string path) : object_(object_at(value, path)), path_(std::move(path)) {}

std::string Fields::path_of(std::string_view name) const {
  return path_.empty() ? std::string(name) : path_ + "." + std::string(name);
}

const JsonNode* Fields::find(std::string_view name) {
  known_.emplace(name);
  for (const auto& [key, value] : object_)
    if (key == name) return value.is_null() ? nullptr : &value;
  return nullptr;
}

const JsonNode& Fields::required(std::string_view name) {
  const JsonNode* value = find(name);
  if (!value)
    throw ApiError(400, "missing_required_parameter", "expected the field '" + std::string(name) + "', found none",
                   path_of(name));
  return *value;
}

std::optional<std::int64_t> Fields::integer(std::string_view name, std::int64_t least, std::int64_t most) {
  const JsonNode* value = find(name);
  return value ? std::optional(integer_at(*value, path_of(name), least, most)) : std::nullopt;
}
std::optional<double> Fields::number(std::string_view name, double least, double most) {
  const JsonNode* value = find(name);
  return value ? std::optional(number_at(*value, path_of(name), least, most)) : std::nullopt;
}
std::optional<bool> Fields::boolean(std::string_view name) {
  const JsonNode* value = find(name);
  return value ? std::optional(boolean_at(*value, path_of(name))) : std::nullopt;
}
std::optional<std::string> Fields::text(std::string_view name) {
  const JsonNode* value = find(name);
  return value ? std::optional(text_at(*value, path_of(name))) : std::nullopt;
}

void Fields::ignore(std::string_view name) {
  if (find(name)) ignored_.push_back(path_of(name));
}

void Fields::take_ignored(Fields& inner) {
  for (std::string& name : inner.ignored(false)) ignored_.push_back(std::move(name));
}

void Fields::refuse(std::string_view name, const std::string& why) {
  const JsonNode* value = find(name);
  if (!value || (value->list() && value->list()->empty()) || (value->object() && value->object()->empty())) return;
  fail_unsupported(path_of(name), why);
}

void Fields::neutral(std::string_view name, double neutral_value) {
  const JsonNode* value = find(name);
  if (!value) return;
  const double found = value->boolean() ? (*value->boolean() ? 1 : 0) : number_at(*value, path_of(name), -1e300, 1e300);
  if (found != neutral_value)
    fail_unsupported(path_of(name), "this sampler is not supported: only the value that switches it off is taken");
  ignored_.push_back(path_of(name));
}

std::vector<std::string> Fields::ignored(bool is_strict) {
  for (const auto& [key, value] : object_)
    if (!known_.count(key)) ignored_.push_back(path_of(printable_start(key, 40)));
  if (is_strict && !ignored_.empty())
    fail_unsupported(ignored_[0], "this field has no effect here, and the server is run with --strict");
  return ignored_;
}

}  // namespace g3n::server
