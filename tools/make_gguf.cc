// make_gguf MODEL OUT.gguf --type f32|bf16|f16|q8_0|q4_0|q4_k_m: the text model of a Hugging Face folder as a GGUF file
// (gguf_maker.h), as make_mmproj does with its towers. Exit 0 written, 1 failed, 2 usage.
#include "tools/gguf_maker.h"
#include "tools/maker_program.h"

int main(int argc, char** argv) {
  using g3n::DType;
  return g3n::run_maker(
      {.name = "make_gguf",
       .usage = "usage: make_gguf MODEL OUT.gguf --type f32|bf16|f16|q8_0|q4_0|q4_k_m\n"
                "Writes the text model of a Gemma 3n folder, its tokenizer and chat template as a GGUF file.\n",
       .in = "MODEL",
       .types = {{"f32", DType::kF32},
                 {"bf16", DType::kBF16},
                 {"f16", DType::kF16},
                 {"q8_0", DType::kQ8_0},
                 {"q4_0", DType::kQ4_0},
                 {"q4_k_m", DType::kQ4_K}},
       .take_flag = {},
       .make =
           [](const g3n::MakerArguments& a) {
             g3n::ThreadPool pool(0);
             g3n::write_text_gguf(pool, g3n::open_checkpoint(a.in), a.out, a.type);
           }},
      argc, argv);
}
