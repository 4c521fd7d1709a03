#include "json/config.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/file_kind.h"
#include "core/printable.h"
#include "json/tree.h"
#include "g3n/error.h"

namespace g3n {
namespace {

std::string number_text(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.17g", value);
  return text;
}

// For messages: what was found.
std::string describe(const JsonNode& node) {
  struct Describe {
    std::string operator()(std::nullptr_t) const { return "null"; }
    std::string operator()(bool b) const { return b ? "true" : "false"; }
    std::string operator()(int64_t i) const { return std::to_string(i); }
    std::string operator()(double d) const { return number_text(d); }
    std::string operator()(const std::string& s) const { return '"' + printable_start(s, 60) + '"'; }
    std::string operator()(const JsonList& l) const { return "a list of " + std::to_string(l.size()); }
    std::string operator()(const JsonObject&) const { return "an object"; }
  };
  return std::visit(Describe{}, node.value);
}

std::optional<int64_t> as_integer(const JsonNode& node) {
  if (const int64_t* i = std::get_if<int64_t>(&node.value)) return *i;
  // 32768.0 is an integer to Python's readers as well.
  if (const double* d = std::get_if<double>(&node.value); d && std::abs(*d) <= 0x1p53 && *d == std::floor(*d))
    return static_cast<int64_t>(*d);
  return {};
}

std::optional<double> as_number(const JsonNode& node) {
  if (const int64_t* i = std::get_if<int64_t>(&node.value)) return static_cast<double>(*i);
  if (const double* d = std::get_if<double>(&node.value)) return *d;
  return {};
}

}  // namespace

Config::Config(std::shared_ptr<const JsonNode> node, std::string where)
    : node_(std::move(node)), where_(std::move(where)) {}

const JsonNode* Config::at(const std::string& key) const {
  const JsonNode* found = node_->find(key);
  return found && !found->is_null() ? found : nullptr;
}

Config Config::inner(const JsonNode& node, std::string where) const {
  return Config(std::shared_ptr<const JsonNode>(node_, &node), std::move(where));
}

Config Config::load(const std::string& path) { return parse(read_text_file(path), path); }

Config Config::parse(const std::string& text, const std::string& where) {
  JsonNode root = parse_json_tree(text, where, {.non_finite = JsonNonFinite::kPython});
  if (!root.object()) throw Error(ErrorCode::kBadFile, where + ": expected a JSON object, found " + describe(root));
  return Config(std::make_shared<const JsonNode>(std::move(root)), where);
}

Config Config::empty(const std::string& where) {
  return Config(std::make_shared<const JsonNode>(JsonNode{JsonObject{}}), where);
}

bool Config::has(const std::string& key) const { return at(key) != nullptr; }

bool Config::is_null(const std::string& key) const {
  const JsonNode* node = node_->find(key);
  return node && node->is_null();
}

bool Config::is_list(const std::string& key) const {
  const JsonNode* node = at(key);
  return node && node->list();
}

std::vector<std::string> Config::keys() const {
  std::vector<std::string> out;
  for (const auto& [key, node] : *node_->object()) out.push_back(key);
  std::sort(out.begin(), out.end());
  return out;
}

void Config::fail(const std::string& key, const std::string& wanted) const {
  const JsonNode* found = node_->find(key);
  throw Error(ErrorCode::kBadFile,
              where_ + ": " + key + ": expected " + wanted + ", found " + (found ? describe(*found) : "no such key"));
}

Config Config::object(const std::string& key) const {
  const JsonNode* node = at(key);
  if (!node) return empty(where_ + ": " + key);
  if (!node->object()) fail(key, "an object");
  return inner(*node, where_ + ": " + key);
}

std::vector<Config> Config::objects(const std::string& key) const {
  std::vector<Config> out;
  const JsonNode* node = at(key);
  if (!node) return out;
  const JsonList* list = node->list();
  if (!list) fail(key, "a list of objects");
  for (const JsonNode& item : *list) {
    if (!item.object()) fail(key, "a list of objects (one item is " + describe(item) + ")");
    out.push_back(inner(item, where_ + ": " + key + "[" + std::to_string(out.size()) + "]"));
  }
  return out;
}

int64_t Config::integer(const std::string& key, std::optional<int64_t> fallback, int64_t min, int64_t max) const {
  std::string wanted = "an integer";
  if (min != INT64_MIN && max != INT64_MAX)
    wanted += " between " + std::to_string(min) + " and " + std::to_string(max);
  else if (min != INT64_MIN)
    wanted += " >= " + std::to_string(min);
  else if (max != INT64_MAX)
    wanted += " <= " + std::to_string(max);
  const JsonNode* node = at(key);
  if (!node && fallback) return *fallback;
  const std::optional<int64_t> value = node ? as_integer(*node) : std::nullopt;
  if (!value || *value < min || *value > max) fail(key, wanted);
  return *value;
}

double Config::number(const std::string& key, std::optional<double> fallback) const {
  const JsonNode* node = at(key);
  if (!node && fallback) return *fallback;
  const std::optional<double> value = node ? as_number(*node) : std::nullopt;
  if (!value) fail(key, "a number");
  return *value;
}

bool Config::boolean(const std::string& key, std::optional<bool> fallback) const {
  const JsonNode* node = at(key);
  if (!node && fallback) return *fallback;
  const bool* value = node ? node->boolean() : nullptr;
  if (!value) fail(key, "true or false");
  return *value;
}

std::string Config::text(const std::string& key, std::optional<std::string> fallback) const {
  const JsonNode* node = at(key);
  if (!node && fallback) return *fallback;
  const std::string* value = node ? node->text() : nullptr;
  if (!value) fail(key, "a string");
  return *value;
}

std::vector<int64_t> Config::integers(const std::string& key, bool scalar_ok) const {
  std::vector<int64_t> out;
  const JsonNode* node = at(key);
  if (!node) return out;
  const std::string wanted = scalar_ok ? "an integer or a list of integers" : "a list of integers";
  if (const JsonList* list = node->list()) {
    for (const JsonNode& item : *list) {
      const std::optional<int64_t> value = as_integer(item);
      if (!value) fail(key, wanted + " (one item is " + describe(item) + ")");
      out.push_back(*value);
    }
    return out;
  }
  const std::optional<int64_t> value = as_integer(*node);
  if (!scalar_ok || !value) fail(key, wanted);
  return {*value};
}

std::vector<double> Config::numbers(const std::string& key) const {
  std::vector<double> out;
  const JsonNode* node = at(key);
  if (!node) return out;
  const JsonList* list = node->list();
  if (!list) fail(key, "a list of numbers");
  for (const JsonNode& item : *list) {
    const std::optional<double> value = as_number(item);
    if (!value) fail(key, "a list of numbers (one item is " + describe(item) + ")");
    out.push_back(*value);
  }
  return out;
}

std::vector<std::string> Config::texts(const std::string& key) const {
  std::vector<std::string> out;
  const JsonNode* node = at(key);
  if (!node) return out;
  const JsonList* list = node->list();
  if (!list) fail(key, "a list of strings");
  for (const JsonNode& item : *list) {
    const std::string* value = item.text();
    if (!value) fail(key, "a list of strings (one item is " + describe(item) + ")");
    out.push_back(*value);
  }
  return out;
}

std::vector<std::vector<int64_t>> Config::integer_lists(const std::string& key) const {
  std::vector<std::vector<int64_t>> out;
  const JsonNode* node = at(key);
  if (!node) return out;
  const JsonList* list = node->list();
  if (!list) fail(key, "a list of lists of integers");
  for (const JsonNode& item : *list) {
    const JsonList* inner_list = item.list();
    if (!inner_list) fail(key, "a list of lists of integers (one item is " + describe(item) + ")");
    out.emplace_back();
    for (const JsonNode& leaf : *inner_list) {
      const std::optional<int64_t> value = as_integer(leaf);
      if (!value) fail(key, "a list of lists of integers (one item is " + describe(leaf) + ")");
      out.back().push_back(*value);
    }
  }
  return out;
}

}  // namespace g3n
