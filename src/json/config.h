// Config: a JSON object from a file, read key by key with types, ranges and defaults; errors name file, key, what was
// wanted and found. Python's NaN, Infinity and -Infinity are numbers; a key given twice takes its last value.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace g3n {

struct JsonNode;  // json/tree.h

class Config {
 public:
  // Reads a JSON file (a BOM is skipped; a git-lfs pointer is called by that name). Throws kNotFound or kBadFile.
  static Config load(const std::string& path);
  static Config parse(const std::string& text, const std::string& where);
  // An empty object: every key takes its default.
  static Config empty(const std::string& where);

  const std::string& where() const { return where_; }  // "config.json: text_config", for messages
  bool has(const std::string& key) const;              // present and not null
  bool is_null(const std::string& key) const;          // present and null
  // The sub-object; an absent or null key gives an empty object.
  Config object(const std::string& key) const;
  // A list of objects (messages, shards); absent or null: empty.
  std::vector<Config> objects(const std::string& key) const;
  // The keys of this object, sorted; null values included.
  std::vector<std::string> keys() const;

  // Present and of the right type, else the default when the key is absent or null, else Error{kBadFile}.
  int64_t integer(const std::string& key, std::optional<int64_t> fallback = {}, int64_t min = INT64_MIN,
                  int64_t max = INT64_MAX) const;
  double number(const std::string& key, std::optional<double> fallback = {}) const;
  bool boolean(const std::string& key, std::optional<bool> fallback = {}) const;
  std::string text(const std::string& key, std::optional<std::string> fallback = {}) const;
  // Lists; a scalar is accepted as a list of one when scalar_ok. Absent or null: empty.
  std::vector<int64_t> integers(const std::string& key, bool scalar_ok = false) const;
  std::vector<double> numbers(const std::string& key) const;
  std::vector<std::string> texts(const std::string& key) const;
  std::vector<std::vector<int64_t>> integer_lists(const std::string& key) const;
  // Whether the value at key is a list (else scalar, object, absent).
  bool is_list(const std::string& key) const;

  [[noreturn]] void fail(const std::string& key,
                         const std::string& wanted) const;  // Error{kBadFile}: "where: key: expected wanted, found ..."

 private:
  Config(std::shared_ptr<const JsonNode> node, std::string where);
  // The value at key; null when absent or JSON null.
  const JsonNode* at(const std::string& key) const;
  // The object or list item `node`, which is inside this one.
  Config inner(const JsonNode& node, std::string where) const;

  std::shared_ptr<const JsonNode> node_;  // an object, kept alive with the whole tree
  std::string where_;
};

}  // namespace g3n
