// SHA-256 of what a medium is made of, so that equal media are known again. Sits on FFmpeg's libavutil.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

struct AVSHA;

namespace g3n {

class ContentHasher {
 public:
  ContentHasher();  // throws kOutOfMemory
  void add(std::span<const std::byte> bytes);
  // Length first: what follows cannot be taken for a part of it.
  void add(std::string_view text);
  void add(std::int64_t number);
  // The digest; once, nothing is added afterwards.
  std::array<std::uint8_t, 32> finish();

 private:
  struct Free {
    void operator()(AVSHA* sha) const noexcept;
  };
  std::unique_ptr<AVSHA, Free> sha_;
};

}  // namespace g3n
