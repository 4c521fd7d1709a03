// Sounds of a request: decoded once, by the worker that reads it, and cut into the clips that the encoder takes
// (spec/media.md 11.6), so that the prompt's length is known before anything is promised.
#pragma once
#include <cstdint>
#include <vector>

#include "server/messages.h"

namespace g3n::server {

struct Call;

// Both put the clips of each file of sound into its place, behind one another. The bytes that they take count among the
// call's. Throw ApiError 400 invalid_media, context_length_exceeded for a sound that no context holds, 429.
void decode_sounds(Call& call, ChatPrompt& prompt);
// How many parts each of the sounds became, in their order.
std::vector<std::size_t> decode_sounds(Call& call, std::vector<MediaPart>& media);

}  // namespace g3n::server
