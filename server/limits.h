// The limits of spec/server.md 14.1 by name: --limit NAME=VALUE, --limit help, and what /props tells of them.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "g3n/media.h"

namespace g3n::server {

struct ServerOptions;

// What a request may hold, besides what HttpLimits says of its bytes.
struct RequestLimits {
  std::int64_t messages = 4096;
  std::int64_t media = 64;            // pictures and sounds together
  std::int64_t audio_seconds = 7200;  // of one sound
  // Of one file. What the engine decodes, pictures, is held to them by the engine: EngineOptions has the same.
  std::int64_t image_side = kMaxImageSide, image_pixels = kMaxImagePixels;
  std::int64_t image_size = 1024;  // that a request may ask its pictures to be brought to, if the model's is not larger
  std::chrono::milliseconds decode_time{20'000};  // of the processor
};

// "NAME=VALUE": sizes with KiB, MiB or GiB behind them, times with ms or s, counts bare. Throws Error kInvalidArgument:
// no such limit, no such value.
void set_limit(ServerOptions& options, const std::string& assignment);
// One line per limit: name, value, what it is.
std::string limits_text(const ServerOptions& options);
// Times in milliseconds, sizes in bytes.
std::vector<std::pair<std::string, std::int64_t>> limit_values(const ServerOptions& options);

// Of anything: 30 years. Timers count nanoseconds.
constexpr std::int64_t kMostMilliseconds = 1'000'000'000'000;

// "250ms", "30s", "30": seconds. Throws Error kInvalidArgument.
std::int64_t milliseconds_of(const std::string& text);
// "64MiB", "4096". Throws Error kInvalidArgument.
std::int64_t bytes_of(const std::string& text);

}  // namespace g3n::server
