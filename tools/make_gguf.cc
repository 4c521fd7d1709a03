// make_gguf MODEL OUT.gguf --type f32|bf16|f16|q8_0|q4_0|q4_k_m: the text model of a Hugging Face folder as a GGUF file
// (gguf_maker.h), as make_mmproj does with its towers. Exit 0 written, 1 failed, 2 usage.
#include <cstdio>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tools/gguf_maker.h"

namespace {

constexpr char kUsage[] =
    "usage: make_gguf MODEL OUT.gguf --type f32|bf16|f16|q8_0|q4_0|q4_k_m\n"
    "Writes the text model of a Gemma 3n folder, its tokenizer and chat template as a GGUF file.\n";

int usage(const std::string& problem) {
  std::fprintf(stderr, "make_gguf: %s\n%s", problem.c_str(), kUsage);
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  using g3n::DType;
  const std::map<std::string, DType> types = {{"f32", DType::kF32},   {"bf16", DType::kBF16}, {"f16", DType::kF16},
                                              {"q8_0", DType::kQ8_0}, {"q4_0", DType::kQ4_0}, {"q4_k_m", DType::kQ4_K}};
  std::vector<std::string> paths;
  std::optional<DType> type;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i], next = i + 1 < argc ? argv[i + 1] : "";
    if (word == "--help" || word == "-h") return std::fputs(kUsage, stdout) < 0;
    if (word == "--type") {
      if (!types.contains(next))
        return usage("--type: expected f32, bf16, f16, q8_0, q4_0 or q4_k_m, found '" + next + "'");
      type = types.at(next), ++i;
    } else if (word.starts_with("-")) {
      return usage(word + ": unknown option");
    } else {
      paths.push_back(word);
    }
  }
  if (paths.size() != 2) return usage("expected MODEL and OUT.gguf");
  if (!type) return usage("expected --type");
  try {
    g3n::ThreadPool pool(0);
    g3n::write_text_gguf(pool, g3n::open_checkpoint(paths[0]), paths[1], *type);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "make_gguf: %s\n", error.what());
    return 1;
  }
  return 0;
}
