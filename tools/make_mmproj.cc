// make_mmproj MODEL OUT.gguf --type f16|f32|bf16|q8_0 [--dialect llama.cpp|2026-01|ollama] [--vision-only]: the towers
// of a Hugging Face folder as an mmproj file (mmproj_maker.h). Exit 0 written, 1 failed, 2 usage.
#include <cstdio>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tools/mmproj_maker.h"

namespace {

constexpr char kUsage[] =
    "usage: make_mmproj MODEL OUT.gguf --type f16|f32|bf16|q8_0 [--dialect llama.cpp|2026-01|ollama] [--vision-only]\n"
    "Writes the vision and audio towers of a Gemma 3n folder as a GGUF file.\n";

int usage(const std::string& problem) {
  std::fprintf(stderr, "make_mmproj: %s\n%s", problem.c_str(), kUsage);
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  using g3n::DType;
  using g3n::MmprojDialect;
  const std::map<std::string, DType> types = {
      {"f16", DType::kF16}, {"f32", DType::kF32}, {"bf16", DType::kBF16}, {"q8_0", DType::kQ8_0}};
  const std::map<std::string, MmprojDialect> dialects = {{"llama.cpp", MmprojDialect::kLlamaCpp},
                                                         {"2026-01", MmprojDialect::kJanuary2026},
                                                         {"ollama", MmprojDialect::kOllama}};
  std::vector<std::string> paths;
  std::optional<DType> type;
  g3n::MmprojOptions options;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i], next = i + 1 < argc ? argv[i + 1] : "";
    if (word == "--help" || word == "-h") return std::fputs(kUsage, stdout) < 0;
    if (word == "--type") {
      if (!types.contains(next)) return usage("--type: expected f16, f32, bf16 or q8_0, found '" + next + "'");
      type = types.at(next), ++i;
    } else if (word == "--dialect") {
      if (!dialects.contains(next))
        return usage("--dialect: expected llama.cpp, 2026-01 or ollama, found '" + next + "'");
      options.dialect = dialects.at(next), ++i;
    } else if (word == "--vision-only") {
      options.audio = false;
    } else if (word.starts_with("-")) {
      return usage(word + ": unknown option");
    } else {
      paths.push_back(word);
    }
  }
  if (paths.size() != 2) return usage("expected MODEL and OUT.gguf");
  if (!type) return usage("expected --type");
  options.type = *type;
  try {
    g3n::ThreadPool pool(0);
    g3n::write_mmproj(pool, g3n::open_checkpoint(paths[0]), paths[1], options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "make_mmproj: %s\n", error.what());
    return 1;
  }
  return 0;
}
