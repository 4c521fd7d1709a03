// Sounds of a chat: decoded once, by the worker that reads the request, and cut into the clips that the encoder takes
// (spec/media.md 11.6), so that the prompt's length is known before anything is promised.
#pragma once
#include "server/messages.h"

namespace g3n::server {

struct Call;

// Puts the clips of each file of sound into its place, behind one another. The bytes that they take count among the
// call's. Throws ApiError 400 invalid_media, context_length_exceeded for a sound that no context holds, 429.
void decode_sounds(Call& call, ChatPrompt& prompt);

}  // namespace g3n::server
