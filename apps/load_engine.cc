// See load_engine.h. Only the app reads the environment.
#include "load_engine.h"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "console.h"
#include "core/printable.h"

namespace g3n::cli {

namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

}  // namespace

std::vector<std::string> hub_cache_folders() {
  if (const std::string cache = variable("HF_HUB_CACHE"); !cache.empty()) return {cache};
  if (const std::string home = variable("HF_HOME"); !home.empty()) return {home + "/hub"};
  if (const std::string home = variable("HOME"); !home.empty()) return {home + "/.cache/huggingface/hub"};
  return {};
}

std::vector<std::string> ollama_folders() {
  if (const std::string folder = variable("OLLAMA_MODELS"); !folder.empty()) return {folder};
  std::vector<std::string> folders;
  if (const std::string home = variable("HOME"); !home.empty()) folders.push_back(home + "/.ollama/models");
  folders.emplace_back("/usr/share/ollama/.ollama/models");
  return folders;
}

EngineOptions with_callbacks(EngineOptions options) {
  constexpr std::int64_t kWorthMentioning = 1'000'000'000;  // a small model is there before the line is read
  options.hub_caches = hub_cache_folders();
  options.ollama_folders = ollama_folders();
  options.on_warning = [](const std::string& message) { warn(message); };
  options.on_memory = [](std::int64_t needed, std::int64_t free) {
    if (needed >= kWorthMentioning || stderr_is_terminal())
      write_stderr("loading: needs " + format_bytes(needed) + ", " + format_bytes(free) + " free\n");
  };
  options.on_progress = percent_status("loading");
  return options;
}

namespace {

// As a shell takes it.
std::string quoted(const std::string& text) {
  const auto is_plain = [](unsigned char c) { return std::isalnum(c) || std::strchr("_-./:,+@%=", c); };
  if (!text.empty() && std::all_of(text.begin(), text.end(), is_plain)) return text;
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

// Bundles are mapped: what packing took is what one saves.
std::string packing_hint(const EngineOptions& options, double seconds) {
  const std::string recipe = options.quantize.empty() ? "keep" : options.quantize;
  return "packed in " + std::to_string(std::lround(seconds)) + " s, which a bundle saves each time: g3n convert " +
         quoted(options.model) + " model.g3n --recipe " + quoted(recipe) +
         (options.mmproj.empty() ? "" : " --mmproj " + quoted(options.mmproj)) + "\n";
}

}  // namespace

std::shared_ptr<Engine> open_engine(const Options& options) {
  using Clock = std::chrono::steady_clock;
  constexpr double kWorthAHint = 2;  // seconds
  EngineOptions engine_options = with_callbacks(options.engine);
  Clock::time_point begin{}, end{};
  engine_options.on_memory = [&, show = engine_options.on_memory](std::int64_t needed, std::int64_t free) {
    show(needed, free);
    begin = Clock::now();
  };
  engine_options.on_progress = [&, show = engine_options.on_progress](std::int64_t done, std::int64_t total) {
    show(done, total);
    end = Clock::now();
  };
  std::shared_ptr<Engine> engine = Engine::open(engine_options);
  clear_status();
  if (const double seconds = std::chrono::duration<double>(end - begin).count();
      begin != Clock::time_point{} && seconds >= kWorthAHint)
    write_stderr(packing_hint(options.engine, seconds));
  return engine;
}

}  // namespace g3n::cli
