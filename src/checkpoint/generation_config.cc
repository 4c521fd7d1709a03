#include "checkpoint/generation_config.h"

#include <cmath>
#include <cstdio>
#include <string>

#include "g3n/error.h"
#include "json/config.h"

namespace g3n {
namespace {

std::string short_number(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

}  // namespace

void set_sampling(const SamplingKeys& keys, const std::string& where, GenerationConfig& out) {
  Sampling& s = out.sampling;
  // Of one key: the number if it means something, else the neutral one.
  const auto take = [&](const char* key, const std::optional<double>& found, double current, double neutral,
                        const char* wanted, auto&& is_good) {
    if (!found) return current;
    if (is_good(*found)) return *found;
    out.warnings.push_back(where + ": " + key + ": expected " + wanted + ", found " + short_number(*found) + "; " +
                           short_number(neutral) + " is used");
    return neutral;
  };
  s.temperature = take("temperature", keys.temperature, s.temperature, 1, "a number of at least 0",
                       [](double v) { return std::isfinite(v) && v >= 0; });
  const double top_k = take("top_k", keys.top_k, s.top_k, 0, "an integer",
                            [](double v) { return std::isfinite(v) && v == std::floor(v); });
  s.top_k = top_k < 1 || top_k > INT32_MAX ? 0 : static_cast<int>(top_k);
  s.top_p = take("top_p", keys.top_p, s.top_p, 1, "a number in (0, 1]", [](double v) { return v > 0 && v <= 1; });
  s.min_p = take("min_p", keys.min_p, s.min_p, 0, "a number in [0, 1]", [](double v) { return v >= 0 && v <= 1; });
  s.repetition_penalty = take("repetition_penalty", keys.repetition_penalty, s.repetition_penalty, 1,
                              "a positive number in [1e-30, 1e30]", [](double v) { return v >= 1e-30 && v <= 1e30; });
}

GenerationConfig GenerationConfig::load(const FileSet& files, const Config& top) {
  const std::string name = "generation_config.json", path = files.path(name);
  const Config c = files.has(name) ? Config::parse(std::string(files.text(name)), path) : Config::empty(path);
  GenerationConfig g;
  const auto value = [&](const char* key) { return c.has(key) ? std::optional<double>(c.number(key)) : std::nullopt; };
  set_sampling({.temperature = value("temperature"),
                .top_k = value("top_k"),
                .top_p = value("top_p"),
                .min_p = value("min_p"),
                .repetition_penalty = value("repetition_penalty")},
               path, g);
  if (!c.boolean("do_sample", true)) g.sampling.temperature = 0;
  std::vector<int64_t> stops = c.integers("eos_token_id", /*scalar_ok=*/true);
  if (stops.empty()) stops = top.integers("eos_token_id", /*scalar_ok=*/true);
  if (stops.empty()) stops = {1, 106};
  for (int64_t id : stops) {
    if (id < 0 || id > INT32_MAX) c.fail("eos_token_id", "a token id or a list of token ids");
    g.stop_ids.push_back(static_cast<int32_t>(id));
  }
  return g;
}

}  // namespace g3n
