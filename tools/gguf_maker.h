// GGUF text files: of any size from a config.json alone, values by the hash rule (hash_weights.h) rounded to the file's
// types, which is what the converter and llama-quantize make of a checkpoint of random_checkpoint, for benchmarks
// beside llama.cpp; or of the text model of a checkpoint. Keys and names: the dialect of January 2026.
#pragma once
#include <functional>
#include <map>
#include <string>

#include "checkpoint/checkpoint.h"
#include "core/dtype.h"
#include "core/thread_pool.h"

namespace g3n {

// type: Q4_0, Q8_0, Q4_K (its mix Q4_K_M), Q5_K (Q5_K_M), Q6_K, BF16 or F16 of the matrices. As llama-quantize does:
// the head and the table of per-layer embeddings are Q6_K but in Q8_0 files; the mixes have some attn_v and ffn_down in
// Q6_K; in quantised files AltUp, LAuReL and per_layer_model_proj stay F16; vectors and AltUp's coefficients are F32.
// Rows that are not whole blocks are Q8_0. others: tensors that get another type, by their name in the file.
void write_random_gguf(ThreadPool& pool, const std::string& config_path, const std::string& out_path, DType type,
                       const std::function<void(int64_t done_bytes, int64_t total_bytes)>& progress = {},
                       const std::map<std::string, DType>& others = {});

// The text model, tokenizer and chat template of a folder, in the same types and F32. Throws kInvalidArgument for a
// checkpoint without weights that can be read so (a bundle) or without a tokenizer.
void write_text_gguf(ThreadPool& pool, const Checkpoint& checkpoint, const std::string& out_path, DType type);

// For `others`, with Q4_K: every type that published UD-Q4_K_XL files choose among (which tensor has which is not
// known): Q8_0 tables and head, Q5_0 and Q5_1 in the first eighth of the feed-forwards, Q4_1 gates in the last, Q6_K
// and Q5_K in attn_v.
std::map<std::string, DType> ud_q4_k_xl_types(const std::string& config_path);

}  // namespace g3n
