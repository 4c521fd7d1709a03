// random_gguf CONFIG.json OUT.gguf --type q4_0|q8_0|q4_k_m|q5_k_m|q6_k|ud-q4_k_xl|bf16|f16 [--threads N]: a text file
// of random weights in the config's shape that llama.cpp loads (gguf_maker.h). Exit 0 written, 1 failed, 2 usage.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "g3n/error.h"
#include "tools/gguf_maker.h"

namespace {

constexpr char kUsage[] =
    "usage: random_gguf CONFIG.json OUT.gguf --type q4_0|q8_0|q4_k_m|q5_k_m|q6_k|ud-q4_k_xl|bf16|f16 [--threads N]\n"
    "Writes a Gemma 3n text file of that config for llama.cpp: weights are hashes of their names.\n";

int usage(const std::string& problem) {
  std::fprintf(stderr, "random_gguf: %s\n%s", problem.c_str(), kUsage);
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
  const std::map<std::string, g3n::DType> types = {{"q4_0", g3n::DType::kQ4_0},   {"q8_0", g3n::DType::kQ8_0},
                                                   {"q4_k_m", g3n::DType::kQ4_K}, {"q5_k_m", g3n::DType::kQ5_K},
                                                   {"q6_k", g3n::DType::kQ6_K},   {"ud-q4_k_xl", g3n::DType::kQ4_K},
                                                   {"bf16", g3n::DType::kBF16},   {"f16", g3n::DType::kF16}};
  std::vector<std::string> paths;
  std::optional<g3n::DType> type;
  bool ud = false;
  int threads = 0;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i], next = i + 1 < argc ? argv[i + 1] : "";
    if (word == "--help" || word == "-h") return std::fputs(kUsage, stdout) < 0;
    if (word == "--type") {
      if (!types.contains(next))
        return usage("--type: expected q4_0, q8_0, q4_k_m, q5_k_m, q6_k, ud-q4_k_xl, bf16 or f16, found '" + next +
                     "'");
      type = types.at(next), ud = next == "ud-q4_k_xl", ++i;
    } else if (word == "--threads") {
      threads = std::atoi(next.c_str()), ++i;
      if (threads < 1) return usage("--threads: expected a number from 1 on, found '" + next + "'");
    } else if (word.starts_with("-")) {
      return usage(word + ": unknown option");
    } else {
      paths.push_back(word);
    }
  }
  if (paths.size() != 2) return usage("expected CONFIG.json and OUT.gguf");
  if (!type) return usage("expected --type");
  try {
    g3n::ThreadPool pool(threads);
    g3n::write_random_gguf(pool, paths[0], paths[1], *type, show_progress,
                           ud ? g3n::ud_q4_k_xl_types(paths[0]) : std::map<std::string, g3n::DType>());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "random_gguf: %s\n", error.what());
    return 1;
  }
  return 0;
}
