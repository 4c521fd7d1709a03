// JSON as a stream of events. The one place where the JSON library is used for reading: config files, safetensors
// headers and shard indices are built on it. Nothing is recursive, so depth costs no stack; the limit keeps hostile
// files small in memory.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace g3n {

// Told what a JSON text holds, in order. A handler throws Error to stop. Strings may be moved from.
class JsonEvents {
 public:
  virtual ~JsonEvents() = default;
  virtual void on_null() = 0;
  virtual void on_boolean(bool value) = 0;
  virtual void on_integer(int64_t value) = 0;
  virtual void on_number(double value) = 0;  // fractions, exponents and integers beyond int64
  virtual void on_text(std::string& value) = 0;
  virtual void on_object_begin() = 0;
  virtual void on_key(std::string& key) = 0;
  virtual void on_object_end() = 0;
  virtual void on_list_begin() = 0;
  virtual void on_list_end() = 0;
};

inline constexpr int kMaxJsonDepth = 200;

// Parses one JSON value in UTF-8. Error{kBadFile} "where: not valid JSON ..." with the byte position.
void parse_json(std::string_view text, const std::string& where, JsonEvents& events);

}  // namespace g3n
