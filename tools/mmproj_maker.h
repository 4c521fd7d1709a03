// mmproj files (vision and audio towers in GGUF) made from any checkpoint that has them, in the three dialects that are
// on disks: what the converters of llama.cpp and ollama write, tensor by tensor (spec: gguf.md 6).
#pragma once
#include <string>

#include "core/dtype.h"
#include "core/thread_pool.h"
#include "checkpoint/checkpoint.h"

namespace g3n {

enum class MmprojDialect {
  kJanuary2026,  // llama.cpp: layer_scale.gamma as [1, C, 1, 1]
  kLlamaCpp,     // since 2026-01-25: gamma as [C]
  kOllama,       // gamma as [1, C, 1, 1], conv_dw without its axis of length 1
};

struct MmprojOptions {
  DType type = DType::kF16;  // F16, F32, BF16 or Q8_0; vectors, the stem and the convolutions of audio are F32 always,
                             // in Q8_0 files other convolutions are F16
  MmprojDialect dialect = MmprojDialect::kLlamaCpp;
  bool vision = true, audio = true;  // towers that are written; keys claim both, as converters do
};

// Towers that the checkpoint lacks are left out. Throws kInvalidArgument for another type or a checkpoint without
// towers.
void write_mmproj(ThreadPool& pool, const Checkpoint& checkpoint, const std::string& out_path,
                  const MmprojOptions& options);

}  // namespace g3n
