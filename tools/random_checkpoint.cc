// random_checkpoint CONFIG.json OUT [--shards N] [--threads N]: writes a checkpoint folder of the config's shape by the
// hash rule, bit-equal to tools/goldens/make_checkpoint.py. Exit 0 written, 1 failed, 2 usage.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "g3n/error.h"
#include "tools/checkpoint_writer.h"

namespace {

constexpr char kUsage[] =
    "usage: random_checkpoint CONFIG.json OUT [--shards N] [--threads N]\n"
    "Writes a Gemma 3n checkpoint of that config into the new or empty folder OUT: weights are hashes of their "
    "names.\n";

std::optional<int> positive(const std::string& text) {
  char* end = nullptr;
  const long value = std::strtol(text.c_str(), &end, 10);
  if (text.empty() || *end || value < 1 || value > 99999) return {};
  return static_cast<int>(value);
}

int usage(const std::string& problem) {
  std::fprintf(stderr, "random_checkpoint: %s\n%s", problem.c_str(), kUsage);
  return 2;
}

void show_progress(int64_t done, int64_t total) {
  static const bool terminal = ::isatty(2) != 0;
  static int64_t shown = -1;
  const int64_t percent = total > 0 ? done * 100 / total : 100;
  if (!terminal || percent == shown) return;
  shown = percent;
  std::fprintf(stderr, "\r%3d %% of %.1f GB%s", static_cast<int>(percent), static_cast<double>(total) / 1e9,
               percent == 100 ? "\n" : "");
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> paths;
  int shards = 0, threads = 0;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--help" || word == "-h") return std::fputs(kUsage, stdout) < 0;
    if (word == "--shards" || word == "--threads") {
      const std::optional<int> value = i + 1 < argc ? positive(argv[++i]) : std::nullopt;
      if (!value) return usage(word + ": expected a number from 1 on");
      (word == "--shards" ? shards : threads) = *value;
    } else if (word.starts_with("-")) {
      return usage(word + ": unknown option");
    } else {
      paths.push_back(word);
    }
  }
  if (paths.size() != 2) return usage("expected CONFIG.json and OUT");
  try {
    g3n::ThreadPool pool(threads);
    g3n::write_random_checkpoint(pool, paths[0], paths[1], {.shards = shards, .progress = show_progress});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "random_checkpoint: %s\n", error.what());
    return 1;
  }
  return 0;
}
