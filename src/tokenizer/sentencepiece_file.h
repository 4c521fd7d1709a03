// tokenizer.model: SentencePiece's ModelProto, read by a small walker of protobuf's wire format.
#pragma once
#include <string>
#include <string_view>

#include "tokenizer/vocabulary.h"

namespace g3n {

// Pieces, added tokens (user-defined, control and unknown pieces) and the Gemma names of the special ones. `file`
// begins every message. Throws kBadFile for bytes that are no ModelProto, kUnsupported for one that is not BPE or
// changes text before splitting it.
Vocabulary read_sentencepiece(std::string_view bytes, const std::string& file);

}  // namespace g3n
