// JSON as a stream of events: what reads files of any size (safetensors headers, tokenizer.json) and what the tree
// (json/tree.h) is built from. The JSON library stays behind this header. Nothing is recursive, so depth costs no
// stack; the limit keeps hostile files small in memory.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "g3n/error.h"

namespace g3n {

// "WHERE: not valid JSON, at byte N: REASON", with its parts for callers who say it in other words.
class JsonError : public Error {
 public:
  JsonError(const std::string& where, size_t byte, const std::string& reason)
      : Error(ErrorCode::kBadFile, where + ": not valid JSON, at byte " + std::to_string(byte) + ": " + reason),
        byte_(byte),
        reason_(reason) {}
  size_t byte() const { return byte_; }
  const std::string& reason() const { return reason_; }

 private:
  size_t byte_;
  std::string reason_;
};

// Told what a JSON text holds, in order. A handler throws Error to refuse it. Strings may be moved from.
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
  // Asked after each object and list: false ends the reading, and what follows is never looked at.
  virtual bool wants_more() const { return true; }

 protected:
  // Bytes read so far: up to the closing quote of a text or key.
  size_t byte() const { return static_cast<size_t>(at_ - begin_); }

 private:
  friend void parse_json(std::string_view, const std::string&, JsonEvents&, int);
  const char *begin_ = nullptr, *at_ = nullptr;
};

inline constexpr int kMaxJsonDepth = 200;

// Parses one JSON value in UTF-8; a byte order mark is skipped. Throws JsonError, and Error{kBadFile} for objects and
// lists nested deeper than max_depth.
void parse_json(std::string_view text, const std::string& where, JsonEvents& events, int max_depth = kMaxJsonDepth);

}  // namespace g3n
