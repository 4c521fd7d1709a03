// The vocabulary of a GGUF file: tokenizer.ggml.* keys, by names and ids rather than by the types that writers gave
// (spec: gguf.md 4).
#pragma once
#include "formats/gguf.h"
#include "tokenizer/vocabulary.h"

namespace g3n {

// Throws kBadFile for lists that do not fit each other, kUnsupported for another kind of tokenizer.
Vocabulary read_gguf_vocabulary(const GgufMetadata& keys);

}  // namespace g3n
