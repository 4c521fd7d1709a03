// The exact bytes that a token adds to a text.
#pragma once
#include <cstdint>
#include <string>

namespace g3n {
class Engine;
}

namespace g3n::server {

// Empty for control tokens, which no answer shows.
std::string token_bytes(const Engine& engine, std::int32_t id);

}  // namespace g3n::server
