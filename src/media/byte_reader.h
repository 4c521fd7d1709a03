// Bounds-checked little- and big-endian reads over untrusted bytes: the base of our own small header parsers. A read
// past the end gives zero and sets failed(), so that a parser may check once at the end of a step.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace g3n::media {

using Bytes = std::span<const std::uint8_t>;

enum class Endian { kLittle, kBig };

class ByteReader {
 public:
  ByteReader(Bytes bytes, Endian endian) : bytes_(bytes), endian_(endian) {}

  std::uint8_t u8(std::size_t at) { return static_cast<std::uint8_t>(number(at, 1)); }
  std::uint16_t u16(std::size_t at) { return static_cast<std::uint16_t>(number(at, 2)); }
  std::uint32_t u32(std::size_t at) { return static_cast<std::uint32_t>(number(at, 4)); }
  std::uint64_t u64(std::size_t at) { return number(at, 8); }
  bool failed() const { return failed_; }
  std::size_t size() const { return bytes_.size(); }

 private:
  std::uint64_t number(std::size_t at, std::size_t width) {
    if (at > bytes_.size() || bytes_.size() - at < width) {
      failed_ = true;
      return 0;
    }
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < width; ++i) {
      const std::size_t from = endian_ == Endian::kBig ? i : width - 1 - i;
      value = value << 8 | bytes_[at + from];
    }
    return value;
  }

  Bytes bytes_;
  Endian endian_;
  bool failed_ = false;
};

// True when the bytes at `at` are exactly `text`.
inline bool has_text(Bytes bytes, std::size_t at, std::string_view text) {
  if (at > bytes.size() || bytes.size() - at < text.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (bytes[at + i] != static_cast<std::uint8_t>(text[i])) return false;
  }
  return true;
}

// The part of bytes from `at` on, at most `count` long; empty when `at` is behind the end.
inline Bytes slice(Bytes bytes, std::size_t at, std::size_t count) {
  if (at >= bytes.size()) return {};
  return bytes.subspan(at, count < bytes.size() - at ? count : bytes.size() - at);
}

}  // namespace g3n::media
