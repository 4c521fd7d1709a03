#include "server/limits.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>

#include "core/printable.h"
#include "g3n/error.h"
#include "server/service.h"

namespace g3n::server {
namespace {

enum class Unit { kCount, kBytes, kTime };

struct Limit {
  const char* name;
  Unit unit;
  const char* about;
  std::function<std::int64_t(const ServerOptions&)> get;
  std::function<void(ServerOptions&, std::int64_t)> set;
  std::int64_t most;
};

// A member of the options, reached by `field`.
template <class F>
Limit limit(const char* name, Unit unit, const char* about, F field, std::int64_t most = INT64_MAX) {
  return {name,
          unit,
          about,
          [field](const ServerOptions& options) {
            const auto& value = field(const_cast<ServerOptions&>(options));
            if constexpr (requires { value.count(); })
              return static_cast<std::int64_t>(value.count());
            else
              return static_cast<std::int64_t>(value);
          },
          [field](ServerOptions& options, std::int64_t value) {
            auto& target = field(options);
            target = static_cast<std::remove_reference_t<decltype(target)>>(value);
          },
          most};
}

const std::vector<Limit>& limits() {
  static const std::vector<Limit> kLimits = {
      limit(
          "header-bytes", Unit::kBytes, "all header lines",
          [](auto& o) -> auto& { return o.http.limits.header_bytes; }),
      limit(
          "header-count", Unit::kCount, "header lines", [](auto& o) -> auto& { return o.http.limits.header_count; }),
      limit(
          "header-line-bytes", Unit::kBytes, "one header line, and the target",
          [](auto& o) -> auto& { return o.http.limits.header_line_bytes; }),
      limit(
          "body-bytes", Unit::kBytes, "a JSON body", [](auto& o) -> auto& { return o.http.limits.body_bytes; }),
      limit(
          "queue-bytes", Unit::kBytes, "bodies and sounds of all requests in work, and as much of bodies that come",
          [](auto& o) -> auto& { return o.max_queue_bytes; }),
      limit(
          "connections", Unit::kCount, "open connections", [](auto& o) -> auto& { return o.http.limits.connections; }),
      limit(
          "connections-per-address", Unit::kCount, "open connections of one address",
          [](auto& o) -> auto& { return o.http.limits.connections_per_address; }),
      limit(
          "header-time", Unit::kTime, "for a whole header", [](auto& o) -> auto& { return o.http.limits.header_time; }),
      limit(
          "body-idle", Unit::kTime, "between two pieces of a body",
          [](auto& o) -> auto& { return o.http.limits.body_idle; }),
      limit(
          "keep-alive-idle", Unit::kTime, "between two requests of a connection",
          [](auto& o) -> auto& { return o.http.limits.keep_alive_idle; }),
      limit(
          "write-stall", Unit::kTime, "for a client that takes nothing",
          [](auto& o) -> auto& { return o.http.limits.write_stall; }),
      limit(
          "messages", Unit::kCount, "messages of a chat", [](auto& o) -> auto& { return o.limits.messages; }),
      limit(
          "media", Unit::kCount, "pictures and sounds of a request", [](auto& o) -> auto& { return o.limits.media; }),
      limit(
          "audio-seconds", Unit::kCount, "of one sound", [](auto& o) -> auto& { return o.limits.audio_seconds; }),
      limit(
          "image-side", Unit::kCount, "pixels a side of one picture, lower only",
          [](auto& o) -> auto& { return o.limits.image_side; }, kMaxImageSide),
      limit(
          "image-pixels", Unit::kCount, "of one picture, lower only",
          [](auto& o) -> auto& { return o.limits.image_pixels; }, kMaxImagePixels),
      limit(
          "image-size", Unit::kCount, "pixels a side that a request may ask for; the model's own size always may be",
          [](auto& o) -> auto& { return o.limits.image_size; }, kMostImageSide),
      limit(
          "decode-time", Unit::kTime, "of the processor for one picture or sound",
          [](auto& o) -> auto& { return o.limits.decode_time; }),
  };
  return kLimits;
}

[[noreturn]] void fail(const std::string& wanted, const std::string& found) {
  throw Error(ErrorCode::kInvalidArgument, "expected " + wanted + ", found '" + printable_start(found, 60) + "'");
}

// A number and what stands behind it.
std::pair<double, std::string> number_and_unit(const std::string& text, const char* wanted) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || !(number >= 0 && number < 1e15)) fail(wanted, text);
  return {number, std::string(end, text.data() + text.size())};
}

}  // namespace

std::int64_t milliseconds_of(const std::string& text) {
  const char* wanted = "a time such as 30s or 250ms";
  const auto [number, unit] = number_and_unit(text, wanted);
  if (unit != "" && unit != "s" && unit != "ms") fail(wanted, text);
  const double ms = unit == "ms" ? number : number * 1000;
  if (ms > static_cast<double>(kMostMilliseconds)) fail("a time of at most 30 years", text);
  return std::llround(ms);
}

std::int64_t bytes_of(const std::string& text) {
  const char* wanted = "a size such as 512MiB or 4096";
  const auto [number, unit] = number_and_unit(text, wanted);
  static constexpr const char* kUnits[] = {"", "KiB", "MiB", "GiB"};
  const auto* found = std::find(std::begin(kUnits), std::end(kUnits), unit);
  if (found == std::end(kUnits)) fail(wanted, text);
  return std::llround(number * std::exp2(10 * static_cast<double>(found - std::begin(kUnits))));
}

namespace {

std::int64_t count_of(const std::string& text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) fail("a whole number without a unit", text);
  return number;
}

std::int64_t value_of(const Limit& limit, const std::string& text) {
  switch (limit.unit) {
    case Unit::kCount: return count_of(text);
    case Unit::kBytes: return bytes_of(text);
    case Unit::kTime: return milliseconds_of(text);
  }
  return 0;
}

}  // namespace

void set_limit(ServerOptions& options, const std::string& assignment) {
  const std::size_t at = assignment.find('=');
  if (at == std::string::npos) fail("NAME=VALUE", assignment);
  const std::string name = assignment.substr(0, at), value = assignment.substr(at + 1);
  for (const Limit& limit : limits()) {
    if (name != limit.name) continue;
    try {
      const std::int64_t number = value_of(limit, value);
      if (number < 1) fail("at least 1", value);
      if (number > limit.most) fail("at most " + std::to_string(limit.most), value);
      return limit.set(options, number);
    } catch (const Error& error) {
      throw Error(error.code(), name + ": " + error.what());
    }
  }
  fail("the name of a limit (--limit help shows them)", name);
}

std::string limits_text(const ServerOptions& options) {
  std::string text;
  for (const Limit& limit : limits()) {
    const std::int64_t number = limit.get(options);
    std::string value = std::to_string(number);
    if (limit.unit == Unit::kTime) value += "ms";
    if (limit.unit == Unit::kBytes && number % 1024 == 0)
      value = number % (1024 * 1024) == 0 ? std::to_string(number >> 20) + "MiB" : std::to_string(number >> 10) + "KiB";
    std::string line = std::string(limit.name) + "=" + value;
    line.resize(std::max<std::size_t>(line.size() + 2, 36), ' ');
    text += line + limit.about + "\n";
  }
  return text;
}

std::vector<std::pair<std::string, std::int64_t>> limit_values(const ServerOptions& options) {
  std::vector<std::pair<std::string, std::int64_t>> values;
  for (const Limit& limit : limits()) {
    std::string name = limit.name;
    std::replace(name.begin(), name.end(), '-', '_');
    if (limit.unit == Unit::kTime) name += "_ms";
    values.emplace_back(std::move(name), limit.get(options));
  }
  return values;
}

}  // namespace g3n::server
