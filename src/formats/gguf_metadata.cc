#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "core/printable.h"
#include "formats/gguf.h"
#include "formats/gguf_types.h"
#include "g3n/error.h"

namespace g3n {
namespace {

using namespace gguf;

template <typename T>
T load(std::span<const std::byte> bytes, uint64_t index) {
  T value;
  std::memcpy(&value, bytes.data() + index * sizeof value, sizeof value);
  return value;
}

bool is_number(uint32_t type) { return type != kBool && type != kText && type != kArray; }

// The next string at `at`, which the reader has checked.
std::string_view next_text(std::span<const std::byte> bytes, size_t& at) {
  uint64_t length;
  std::memcpy(&length, bytes.data() + at, 8);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + at + 8, length);
  at += 8 + length;
  return text;
}

std::string number_text(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.10g", value);
  return text;
}

}  // namespace

std::vector<std::string> GgufMetadata::keys() const {
  std::vector<std::string> out;
  for (const auto& [key, value] : values_) out.push_back(key);
  return out;
}

bool GgufMetadata::is_list(const std::string& key) const {
  const auto found = values_.find(key);
  return found != values_.end() && found->second.is_list;
}

bool GgufMetadata::is_text(const std::string& key) const {
  const auto found = values_.find(key);
  return found != values_.end() && !found->second.is_list && found->second.type == kText;
}

int64_t GgufMetadata::count(const std::string& key) const {
  const auto found = values_.find(key);
  return found == values_.end() ? 0 : static_cast<int64_t>(found->second.count);
}

std::string GgufMetadata::found(const std::string& key) const {
  const auto found = values_.find(key);
  if (found == values_.end()) return "nothing";
  const Value& value = found->second;
  if (value.is_list) return "a list of " + std::to_string(value.count) + " (" + kValueFacts[value.type].name + ")";
  if (value.type == kText) {
    size_t at = 0;
    return "the string \"" + printable_start(next_text(value.bytes, at), 60) + "\"";
  }
  if (value.type == kBool) return element(value, 0) != 0 ? "true" : "false";
  return number_text(element(value, 0)) + " (" + kValueFacts[value.type].name + ")";
}

void GgufMetadata::fail(const std::string& key, const std::string& wanted) const {
  throw Error(ErrorCode::kBadFile, where_ + ": " + key + ": expected " + wanted + ", found " + found(key));
}

const GgufMetadata::Value& GgufMetadata::value(const std::string& key, const char* wanted) const {
  const auto found = values_.find(key);
  if (found == values_.end()) fail(key, wanted);
  return found->second;
}

double GgufMetadata::element(const Value& value, uint64_t i) const {
  switch (value.type) {
    case kU8: return load<uint8_t>(value.bytes, i);
    case kI8: return load<int8_t>(value.bytes, i);
    case kU16: return load<uint16_t>(value.bytes, i);
    case kI16: return load<int16_t>(value.bytes, i);
    case kU32: return load<uint32_t>(value.bytes, i);
    case kI32: return load<int32_t>(value.bytes, i);
    case kF32: return load<float>(value.bytes, i);
    case kBool: return load<uint8_t>(value.bytes, i) != 0;
    case kU64: return static_cast<double>(load<uint64_t>(value.bytes, i));
    case kI64: return static_cast<double>(load<int64_t>(value.bytes, i));
    default: return load<double>(value.bytes, i);
  }
}

std::vector<int64_t> GgufMetadata::integers(const std::string& key) const {
  if (!has(key)) return {};
  const Value& v = value(key, "whole numbers");
  if (!is_number(v.type)) fail(key, "whole numbers");
  std::vector<int64_t> out(v.count);
  for (uint64_t i = 0; i < v.count; ++i) {
    const double number = element(v, i);
    // Up to 2^53 a double holds every integer; no count or size of a model is larger.
    if (!(std::fabs(number) <= 0x1p53) || number != std::floor(number)) fail(key, "whole numbers up to 2^53");
    out[i] = static_cast<int64_t>(number);
  }
  return out;
}

std::vector<double> GgufMetadata::numbers(const std::string& key) const {
  if (!has(key)) return {};
  const Value& v = value(key, "numbers");
  if (!is_number(v.type)) fail(key, "numbers");
  std::vector<double> out(v.count);
  for (uint64_t i = 0; i < v.count; ++i) out[i] = element(v, i);
  return out;
}

std::vector<bool> GgufMetadata::booleans(const std::string& key) const {
  if (!has(key)) return {};
  const Value& v = value(key, "booleans");
  if (v.type != kBool) fail(key, "booleans");
  std::vector<bool> out(v.count);
  for (uint64_t i = 0; i < v.count; ++i) out[i] = element(v, i) != 0;
  return out;
}

std::vector<std::string_view> GgufMetadata::texts(const std::string& key) const {
  if (!has(key)) return {};
  const Value& v = value(key, "strings");
  if (v.type != kText) fail(key, "strings");
  std::vector<std::string_view> out(v.count);
  size_t at = 0;
  for (std::string_view& text : out) text = next_text(v.bytes, at);
  return out;
}

int64_t GgufMetadata::integer(const std::string& key, std::optional<int64_t> fallback, int64_t min, int64_t max) const {
  if (!has(key) && fallback) return *fallback;
  const bool is_bounded = min != INT64_MIN || max != INT64_MAX;
  const std::string wanted =
      is_bounded ? "a whole number from " + std::to_string(min) + " to " + std::to_string(max) : "a whole number";
  const Value& v = value(key, wanted.c_str());
  if (v.is_list) fail(key, wanted);
  const int64_t out = integers(key).front();
  if (out < min || out > max) fail(key, wanted);
  return out;
}

double GgufMetadata::number(const std::string& key, std::optional<double> fallback) const {
  if (!has(key) && fallback) return *fallback;
  const Value& v = value(key, "a number");
  if (v.is_list || !is_number(v.type)) fail(key, "a number");
  return element(v, 0);
}

bool GgufMetadata::boolean(const std::string& key, std::optional<bool> fallback) const {
  if (!has(key) && fallback) return *fallback;
  const Value& v = value(key, "true or false");
  if (v.is_list || v.type != kBool) fail(key, "true or false");
  return element(v, 0) != 0;
}

std::string GgufMetadata::text(const std::string& key, std::optional<std::string> fallback) const {
  if (!has(key) && fallback) return *fallback;
  const Value& v = value(key, "a string");
  if (v.is_list || v.type != kText) fail(key, "a string");
  return std::string(texts(key).front());
}

std::string GgufMetadata::as_file() const {
  std::string out(reinterpret_cast<const char*>(bytes_.data()), bytes_.size());
  std::fill_n(out.begin() + 8, 8, '\0');  // behind magic and version: the number of tensors
  return out;
}

}  // namespace g3n
