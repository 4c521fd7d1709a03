// random_gguf CONFIG.json OUT.gguf --type q4_0|q8_0|q4_k_m|q5_k_m|q6_k|ud-q4_k_xl|bf16|f16 [--threads N]: a text file
// of random weights in the config's shape that llama.cpp loads (gguf_maker.h). Exit 0 written, 1 failed, 2 usage.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

#include "tools/gguf_maker.h"
#include "tools/maker_program.h"

namespace {

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
  using g3n::DType;
  int threads = 0;
  const auto take_flag = [&](const std::string& flag, const std::string& next) {
    if (flag != "--threads") return 0;
    threads = std::atoi(next.c_str());
    if (threads < 1) throw g3n::UsageProblem{"--threads: expected a number from 1 on, found '" + next + "'"};
    return 2;
  };
  return g3n::run_maker(
      {.name = "random_gguf",
       .usage = "usage: random_gguf CONFIG.json OUT.gguf --type q4_0|q8_0|q4_k_m|q5_k_m|q6_k|ud-q4_k_xl|bf16|f16 "
                "[--threads N]\n"
                "Writes a Gemma 3n text file of that config for llama.cpp: weights are hashes of their names.\n",
       .in = "CONFIG.json",
       .types = {{"q4_0", DType::kQ4_0},
                 {"q8_0", DType::kQ8_0},
                 {"q4_k_m", DType::kQ4_K},
                 {"q5_k_m", DType::kQ5_K},
                 {"q6_k", DType::kQ6_K},
                 {"ud-q4_k_xl", DType::kQ4_K},
                 {"bf16", DType::kBF16},
                 {"f16", DType::kF16}},
       .take_flag = take_flag,
       .make =
           [&](const g3n::MakerArguments& a) {
             g3n::ThreadPool pool(threads);
             g3n::write_random_gguf(
                 pool, a.in, a.out, a.type, show_progress,
                 a.type_name == "ud-q4_k_xl" ? g3n::ud_q4_k_xl_types(a.in) : std::map<std::string, DType>());
           }},
      argc, argv);
}
