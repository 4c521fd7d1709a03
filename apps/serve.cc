// g3n serve: OpenAI's HTTP API over one model. Flags only: the server is the folder server/.
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "commands.h"
#include "console.h"
#include "g3n/engine.h"
#include "load_engine.h"
#include "server/server.h"

namespace g3n::cli {
namespace {

std::vector<server::ApiKey> keys_of(const ServeFlags& flags) {
  std::vector<server::ApiKey> keys;
  if (!flags.api_key_file.empty()) {
    std::ifstream in(flags.api_key_file, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    if (!in) throw Error(ErrorCode::kNotFound, flags.api_key_file + ": cannot be read");
    struct stat facts {};
    if (::stat(flags.api_key_file.c_str(), &facts) == 0 && (facts.st_mode & (S_IRGRP | S_IROTH)))
      warn(flags.api_key_file + " can be read by others");
    keys = server::parse_keys(text.str());
  }
  if (!flags.api_key.empty()) keys.push_back({"--api-key", flags.api_key});
  return keys;
}

// The last name of a path, which tells nothing of the machine.
std::string model_id(const std::string& model) {
  std::filesystem::path path = std::filesystem::path(model).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  if (path.filename() == "." || path.filename() == "..") path = std::filesystem::weakly_canonical(model);
  return path.filename().string();
}

// What besides version and recipe makes results differ.
std::string variant_of(const EngineOptions& options) {
  std::string variant = options.compute == Compute::kBF16 ? "-bf16" : "-f32";
  static constexpr const char* kCaches[] = {"", "-kvf32", "-kvbf16", "-kvq8"};
  variant += kCaches[static_cast<int>(options.kv_cache)];
  if (options.image_size) variant += "-image" + std::to_string(options.image_size);
  return variant;
}

std::string address_of(const server::Server& server, const server::HttpOptions& http) {
  if (!http.unix_path.empty()) return http.unix_path;
  const bool is_v6 = http.host.find(':') != std::string::npos;
  return "http://" + (is_v6 ? "[" + http.host + "]" : http.host) + ":" + std::to_string(server.port()) + "/";
}

}  // namespace

int serve(const Options& options) {
  if (options.serve.routes) {
    write_stdout(server::routes_text());
    return kExitDone;
  }
  if (options.serve.limits) {
    write_stdout(server::limits_text(options.serve.options));
    return kExitDone;
  }
  server::ServerOptions settings = options.serve.options;
  settings.access.keys = keys_of(options.serve);
  settings.model_id = model_id(options.engine.model);
  settings.variant = variant_of(options.engine);
  if (!options.serve.api_key_file.empty()) settings.read_keys = [&] { return keys_of(options.serve); };
  if (settings.logs_content) warn("--log-content: what clients ask and read stands in the log");
  settings.on_log = [](const std::string& line) { write_stderr(line + "\n"); };
  settings.http.signals = {SIGINT, SIGTERM};
  if (settings.read_keys) settings.http.signals.push_back(SIGHUP);
  Options loading = options;
  loading.engine.max_sequences = settings.max_sequences;
  loading.engine.max_image_side = settings.limits.image_side;
  loading.engine.max_image_pixels = settings.limits.image_pixels;
  loading.engine.max_decode_seconds = std::chrono::duration<double>(settings.limits.decode_time).count();
  loading.engine.preload_encoders = !options.engine.release_encoders && !options.serve.has_lazy_encoders;

  const std::string about = ", " + std::to_string(settings.max_sequences) + " sequences\n";
  settings.on_ready = [model = settings.model_id, variant = settings.variant, about](const Engine& engine) {
    write_stderr("ready: " + model + ", " + engine.info().recipe + variant + ", context " +
                 std::to_string(engine.info().context) + about);
  };
  server::Server server(settings, [&] { return open_engine(loading); });
  write_stderr("g3n serve: " + address_of(server, settings.http) + "\n");
  server.run();
  return kExitDone;
}

}  // namespace g3n::cli
