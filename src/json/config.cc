// The tree behind Config, built from JSON events. A key that appears twice takes its last value, as in Python.
#include "json/config.h"

#include <cmath>
#include <cstdio>
#include <limits>
#include <map>
#include <string_view>
#include <variant>

#include "core/file_kind.h"
#include "core/printable.h"
#include "json/events.h"
#include "g3n/error.h"

namespace g3n {

struct Config::Node {
  using List = std::vector<std::shared_ptr<const Node>>;
  using Object = std::map<std::string, std::shared_ptr<const Node>>;
  std::variant<std::nullptr_t, bool, int64_t, double, std::string, List, Object> value;

  const Object& members() const {
    static const Object none;
    const Object* object = std::get_if<Object>(&value);
    return object ? *object : none;
  }
  // The value at key; null when absent or JSON null.
  const Node* at(const std::string& key) const {
    const auto found = members().find(key);
    return found == members().end() || std::holds_alternative<std::nullptr_t>(found->second->value)
               ? nullptr
               : found->second.get();
  }
  std::string describe() const;
  std::optional<int64_t> as_integer() const;
  std::optional<double> as_number() const;
};

namespace {

// Python writes NaN and Infinity into JSON. They travel through the JSON library as strings that no file can hold
// otherwise.
constexpr std::string_view kNonFinite[] = {"NaN", "-Infinity", "Infinity"};
constexpr std::string_view kMark = "\x01g3n:";

std::string protect_non_finite(const std::string& text) {
  if (text.find("NaN") == std::string::npos && text.find("Infinity") == std::string::npos) return text;
  std::string out;
  bool inside_string = false;
  for (size_t i = 0; i < text.size();) {
    if (inside_string) {
      if (text[i] == '\\' && i + 1 < text.size())
        out += text[i++];
      else if (text[i] == '"')
        inside_string = false;
      out += text[i++];
      continue;
    }
    bool replaced = false;
    for (const std::string_view word : kNonFinite) {
      if (text.compare(i, word.size(), word) != 0) continue;
      out += "\"\\u0001" + std::string(kMark.substr(1)) + std::string(word) + "\"";
      i += word.size();
      replaced = true;
      break;
    }
    if (replaced) continue;
    if (text[i] == '"') inside_string = true;
    out += text[i++];
  }
  return out;
}

std::string number_text(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.17g", value);
  return text;
}

}  // namespace

std::string Config::Node::describe() const {
  struct Describe {
    std::string operator()(std::nullptr_t) const { return "null"; }
    std::string operator()(bool b) const { return b ? "true" : "false"; }
    std::string operator()(int64_t i) const { return std::to_string(i); }
    std::string operator()(double d) const { return number_text(d); }
    std::string operator()(const std::string& s) const { return "\"" + printable_start(s, 60) + "\""; }
    std::string operator()(const List& l) const { return "a list of " + std::to_string(l.size()); }
    std::string operator()(const Object&) const { return "an object"; }
  };
  return std::visit(Describe{}, value);
}

std::optional<int64_t> Config::Node::as_integer() const {
  if (const int64_t* i = std::get_if<int64_t>(&value)) return *i;
  // 32768.0 is an integer to Python's readers as well.
  if (const double* d = std::get_if<double>(&value); d && std::abs(*d) <= 0x1p53 && *d == std::floor(*d))
    return static_cast<int64_t>(*d);
  return {};
}

std::optional<double> Config::Node::as_number() const {
  if (const int64_t* i = std::get_if<int64_t>(&value)) return static_cast<double>(*i);
  if (const double* d = std::get_if<double>(&value)) return *d;
  return {};
}

namespace {

// Builds the tree, innermost open container last. Node is private to Config, so the builder is generic over it.
template <typename Node>
class TreeBuilder : public JsonEvents {
 public:
  std::shared_ptr<const Node> root;

  void on_null() override { put(nullptr); }
  void on_boolean(bool value) override { put(value); }
  void on_integer(int64_t value) override { put(value); }
  void on_number(double value) override { put(value); }
  void on_text(std::string& value) override {
    if (!value.starts_with(kMark)) return put(std::move(value));
    const std::string word = value.substr(kMark.size());
    const double infinity = std::numeric_limits<double>::infinity();
    put(word == "NaN" ? std::numeric_limits<double>::quiet_NaN() : word == "Infinity" ? infinity : -infinity);
  }
  void on_object_begin() override { open_.push_back({std::make_shared<Node>(Node{typename Node::Object{}}), {}}); }
  void on_list_begin() override { open_.push_back({std::make_shared<Node>(Node{typename Node::List{}}), {}}); }
  void on_key(std::string& key) override { open_.back().key = std::move(key); }
  void on_object_end() override { close(); }
  void on_list_end() override { close(); }

 private:
  struct Open {
    std::shared_ptr<Node> node;
    std::string key;
  };
  template <typename T>
  void put(T value) {
    place(std::make_shared<Node>(Node{std::move(value)}));
  }
  void close() {
    std::shared_ptr<Node> node = std::move(open_.back().node);
    open_.pop_back();
    place(std::move(node));
  }
  void place(std::shared_ptr<Node> node) {
    if (open_.empty()) {
      root = std::move(node);
    } else if (auto* list = std::get_if<typename Node::List>(&open_.back().node->value)) {
      list->push_back(std::move(node));
    } else {
      std::get<typename Node::Object>(open_.back().node->value)[open_.back().key] = std::move(node);
    }
  }

  std::vector<Open> open_;
};

}  // namespace

Config::Config(std::shared_ptr<const Node> node, std::string where)
    : node_(std::move(node)), where_(std::move(where)) {}

Config Config::load(const std::string& path) { return parse(read_text_file(path), path); }

Config Config::parse(const std::string& text, const std::string& where) {
  TreeBuilder<Node> builder;
  parse_json(protect_non_finite(text), where, builder);
  if (!builder.root || !std::holds_alternative<Node::Object>(builder.root->value))
    throw Error(ErrorCode::kBadFile,
                where + ": expected a JSON object" + (builder.root ? ", found " + builder.root->describe() : ""));
  return Config(std::move(builder.root), where);
}

Config Config::empty(const std::string& where) { return Config(std::make_shared<Node>(Node{Node::Object{}}), where); }

bool Config::has(const std::string& key) const { return node_->at(key) != nullptr; }

bool Config::is_null(const std::string& key) const {
  if (has(key)) return false;
  for (const std::string& name : keys())
    if (name == key) return true;
  return false;
}

bool Config::is_list(const std::string& key) const {
  const Node* node = node_->at(key);
  return node && std::holds_alternative<Node::List>(node->value);
}

std::vector<std::string> Config::keys() const {
  std::vector<std::string> out;
  for (const auto& [key, node] : node_->members()) out.push_back(key);
  return out;
}

void Config::fail(const std::string& key, const std::string& wanted) const {
  const auto found = node_->members().find(key);
  const std::string text = found == node_->members().end() ? "no such key" : found->second->describe();
  throw Error(ErrorCode::kBadFile, where_ + ": " + key + ": expected " + wanted + ", found " + text);
}

Config Config::object(const std::string& key) const {
  if (!has(key)) return empty(where_ + ": " + key);
  const auto& node = node_->members().at(key);
  if (!std::holds_alternative<Node::Object>(node->value)) fail(key, "an object");
  return Config(node, where_ + ": " + key);
}

std::vector<Config> Config::objects(const std::string& key) const {
  std::vector<Config> out;
  const Node* node = node_->at(key);
  if (!node) return out;
  const Node::List* list = std::get_if<Node::List>(&node->value);
  if (!list) fail(key, "a list of objects");
  for (const auto& item : *list) {
    if (!std::holds_alternative<Node::Object>(item->value))
      fail(key, "a list of objects (one item is " + item->describe() + ")");
    out.push_back(Config(item, where_ + ": " + key + "[" + std::to_string(out.size()) + "]"));
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
  const Node* node = node_->at(key);
  if (!node && fallback) return *fallback;
  const std::optional<int64_t> value = node ? node->as_integer() : std::nullopt;
  if (!value || *value < min || *value > max) fail(key, wanted);
  return *value;
}

double Config::number(const std::string& key, std::optional<double> fallback) const {
  const Node* node = node_->at(key);
  if (!node && fallback) return *fallback;
  const std::optional<double> value = node ? node->as_number() : std::nullopt;
  if (!value) fail(key, "a number");
  return *value;
}

bool Config::boolean(const std::string& key, std::optional<bool> fallback) const {
  const Node* node = node_->at(key);
  if (!node && fallback) return *fallback;
  const bool* value = node ? std::get_if<bool>(&node->value) : nullptr;
  if (!value) fail(key, "true or false");
  return *value;
}

std::string Config::text(const std::string& key, std::optional<std::string> fallback) const {
  const Node* node = node_->at(key);
  if (!node && fallback) return *fallback;
  const std::string* value = node ? std::get_if<std::string>(&node->value) : nullptr;
  if (!value) fail(key, "a string");
  return *value;
}

std::vector<int64_t> Config::integers(const std::string& key, bool scalar_ok) const {
  std::vector<int64_t> out;
  const Node* node = node_->at(key);
  if (!node) return out;
  const std::string wanted = scalar_ok ? "an integer or a list of integers" : "a list of integers";
  if (const Node::List* list = std::get_if<Node::List>(&node->value)) {
    for (const auto& item : *list) {
      const std::optional<int64_t> value = item->as_integer();
      if (!value) fail(key, wanted + " (one item is " + item->describe() + ")");
      out.push_back(*value);
    }
    return out;
  }
  const std::optional<int64_t> value = node->as_integer();
  if (!scalar_ok || !value) fail(key, wanted);
  return {*value};
}

std::vector<double> Config::numbers(const std::string& key) const {
  std::vector<double> out;
  const Node* node = node_->at(key);
  if (!node) return out;
  const Node::List* list = std::get_if<Node::List>(&node->value);
  if (!list) fail(key, "a list of numbers");
  for (const auto& item : *list) {
    const std::optional<double> value = item->as_number();
    if (!value) fail(key, "a list of numbers (one item is " + item->describe() + ")");
    out.push_back(*value);
  }
  return out;
}

std::vector<std::string> Config::texts(const std::string& key) const {
  std::vector<std::string> out;
  const Node* node = node_->at(key);
  if (!node) return out;
  const Node::List* list = std::get_if<Node::List>(&node->value);
  if (!list) fail(key, "a list of strings");
  for (const auto& item : *list) {
    const std::string* value = std::get_if<std::string>(&item->value);
    if (!value) fail(key, "a list of strings (one item is " + item->describe() + ")");
    out.push_back(*value);
  }
  return out;
}

std::vector<std::vector<int64_t>> Config::integer_lists(const std::string& key) const {
  std::vector<std::vector<int64_t>> out;
  const Node* node = node_->at(key);
  if (!node) return out;
  const Node::List* list = std::get_if<Node::List>(&node->value);
  if (!list) fail(key, "a list of lists of integers");
  for (const auto& item : *list) {
    const Node::List* inner = std::get_if<Node::List>(&item->value);
    if (!inner) fail(key, "a list of lists of integers (one item is " + item->describe() + ")");
    out.emplace_back();
    for (const auto& leaf : *inner) {
      const std::optional<int64_t> value = leaf->as_integer();
      if (!value) fail(key, "a list of lists of integers (one item is " + leaf->describe() + ")");
      out.back().push_back(*value);
    }
  }
  return out;
}

}  // namespace g3n
