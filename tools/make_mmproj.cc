// make_mmproj MODEL OUT.gguf --type f16|f32|bf16|q8_0 [--dialect llama.cpp|2026-01|ollama] [--vision-only]: the towers
// of a Hugging Face folder as an mmproj file (mmproj_maker.h). Exit 0 written, 1 failed, 2 usage.
#include <map>

#include "tools/maker_program.h"
#include "tools/mmproj_maker.h"

int main(int argc, char** argv) {
  using g3n::DType;
  using g3n::MmprojDialect;
  const std::map<std::string, MmprojDialect> dialects = {{"llama.cpp", MmprojDialect::kLlamaCpp},
                                                         {"2026-01", MmprojDialect::kJanuary2026},
                                                         {"ollama", MmprojDialect::kOllama}};
  g3n::MmprojOptions options;
  const auto take_flag = [&](const std::string& flag, const std::string& next) {
    if (flag == "--vision-only") {
      options.audio = false;
      return 1;
    }
    if (flag != "--dialect") return 0;
    if (!dialects.contains(next))
      throw g3n::UsageProblem{"--dialect: expected llama.cpp, 2026-01 or ollama, found '" + next + "'"};
    options.dialect = dialects.at(next);
    return 2;
  };
  return g3n::run_maker(
      {.name = "make_mmproj",
       .usage = "usage: make_mmproj MODEL OUT.gguf --type f16|f32|bf16|q8_0 [--dialect llama.cpp|2026-01|ollama] "
                "[--vision-only]\n"
                "Writes the vision and audio towers of a Gemma 3n folder as a GGUF file.\n",
       .in = "MODEL",
       .types = {{"f16", DType::kF16}, {"f32", DType::kF32}, {"bf16", DType::kBF16}, {"q8_0", DType::kQ8_0}},
       .take_flag = take_flag,
       .make =
           [&](const g3n::MakerArguments& a) {
             options.type = a.type;
             g3n::ThreadPool pool(0);
             g3n::write_mmproj(pool, g3n::open_checkpoint(a.in), a.out, options);
           }},
      argc, argv);
}
