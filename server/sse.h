// Server-sent events: one frame per JSON text, and the comment that keeps a quiet stream open.
#pragma once
#include <string>

#include "json/writer.h"

namespace g3n::server {

inline std::string sse_frame(const JsonNode& value) { return "data: " + to_json(value) + "\n\n"; }
inline std::string sse_done() { return "data: [DONE]\n\n"; }
inline std::string sse_ping() { return ": ping\n\n"; }

}  // namespace g3n::server
