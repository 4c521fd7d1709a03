// The exact bytes that a token adds to a text, and what it is called.
#pragma once
#include <cstdint>
#include <string>

namespace g3n {
class Engine;
}

namespace g3n::server {

// Empty for control tokens, which no answer shows, and for ids that the tokenizer does not know: the embedding table
// may have more rows.
std::string token_bytes(const Engine& engine, std::int32_t id);
// The same, control tokens as they are written.
std::string token_text(const Engine& engine, std::int32_t id);

}  // namespace g3n::server
