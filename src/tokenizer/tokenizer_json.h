// tokenizer.json and tokenizer_config.json of a Hugging Face folder. The first may have 33 MB, so it is read event by
// event and never held as a tree.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/vocabulary.h"

namespace g3n {

// Vocabulary, scores (from the order of the merges) and added tokens. `file` begins every message.
// Throws kBadFile for what is no tokenizer.json, kUnsupported for one that splits or changes text otherwise than
// Gemma's.
Vocabulary read_tokenizer_json(std::string_view bytes, const std::string& file);

// The added tokens alone; stops reading behind them.
std::vector<AddedToken> read_added_tokens(std::string_view bytes, const std::string& file);

// What tokenizer_config.json says about tokens: "bos_token": "<bos>", ..., and the added tokens, if it lists them.
struct TokenizerConfig {
  std::map<std::string, std::string> names;
  std::vector<AddedToken> added;
  std::optional<std::string> chat_template;
};
TokenizerConfig read_tokenizer_config(std::string_view bytes, const std::string& file);

}  // namespace g3n
