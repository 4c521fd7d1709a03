// The tensors of a GGUF file under their Hugging Face names (spec: gguf.md 5 and 6): shapes outermost axis first,
// stacks and joined projections cut into their matrices. Bytes stay in the mapped file.
#pragma once
#include <memory>

#include "formats/gguf.h"
#include "formats/tensor_source.h"

namespace g3n {

// text_vocab: rows of the per-layer table that mean something; later ones are cut off. Tensors of names that Gemma 3n
// has not keep them, so that the loader reports them as surplus. Throws kUnsupported for one of Gemma's in a type that
// nothing here decodes, kBadFile for one that cannot be cut.
std::shared_ptr<const TensorSource> gguf_tensor_source(std::shared_ptr<const GgufFile> file, int64_t text_vocab);

}  // namespace g3n
