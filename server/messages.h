// Messages of an API request made into g3n::Message: roles, parts, media (spec/server.md 4). The library wants strict
// alternation behind one system message; whatever clients send is brought into that form here.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "g3n/prompt.h"
#include "server/json_fields.h"
#include "server/media_kind.h"

namespace g3n::server {

struct MediaRules {
  bool has_vision = false, has_audio = false;
  int default_image_size = 0;  // what the engine takes for a part of size 0
  int image_size = 0;          // of the request; 0: the engine's
  std::size_t most_messages = 4096, most_media = 64;
};

struct ApiChat {
  ChatPrompt prompt;
  std::vector<std::string> ignored;  // JSON paths
};

// The field `messages` of a request. The two flags are empty if the client did not send them.
ApiChat read_messages(const JsonNode& messages, std::optional<bool> add_generation_prompt,
                      std::optional<bool> continue_final_message, const MediaRules& rules);

// Adds them to what the request's other fields have ignored. Throws under strict if there is one.
void take_ignored(const ApiChat& chat, bool is_strict, std::vector<std::string>& ignored);

// Throws ApiError invalid_media if a request's medium `number`, counted from 1, is one too many.
void expect_few_media(std::size_t number, const std::string& path, const MediaRules& rules);

// A data URL or bare base64 of a file; `expected` is what it is taken for if its bytes do not tell.
MediaPart read_medium(const std::string& text, const std::string& path, MediumKind expected, const MediaRules& rules);

// Standard or URL-safe alphabet, padding optional, white space skipped; empty if it is none.
std::optional<std::vector<std::uint8_t>> decode_base64(std::string_view text);

}  // namespace g3n::server
