// JSON as a tree of values, for texts that are small: configs, messages, requests, reports.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "json/events.h"

namespace g3n {

struct JsonNode;
struct JsonMember;
using JsonList = std::vector<JsonNode>;
using JsonObject = std::vector<JsonMember>;  // keys in their order

struct JsonNode {
  std::variant<std::nullptr_t, bool, int64_t, double, std::string, JsonList, JsonObject> value;

  bool is_null() const { return std::holds_alternative<std::nullptr_t>(value); }
  // Null where the value is of another kind.
  const bool* boolean() const { return std::get_if<bool>(&value); }
  const std::string* text() const { return std::get_if<std::string>(&value); }
  const JsonList* list() const { return std::get_if<JsonList>(&value); }
  const JsonObject* object() const { return std::get_if<JsonObject>(&value); }
  // The value at key; null if there is none or this is no object.
  const JsonNode* find(std::string_view key) const;
};

struct JsonMember {
  std::string key;
  JsonNode value;
};

enum class JsonDuplicates { kLastWins, kRefused };  // of keys in one object; the last takes the place of the first
enum class JsonNonFinite { kRefused, kPython };     // NaN, Infinity and -Infinity, as Python writes them

struct JsonRules {
  int max_depth = kMaxJsonDepth;
  int64_t max_values = INT64_MAX;  // of all lists and objects together: a value of one byte takes forty
  JsonDuplicates duplicates = JsonDuplicates::kLastWins;
  JsonNonFinite non_finite = JsonNonFinite::kRefused;
};

// Throws as parse_json; JsonError names a key that is refused.
JsonNode parse_json_tree(std::string_view text, const std::string& where, const JsonRules& rules = {});

}  // namespace g3n
