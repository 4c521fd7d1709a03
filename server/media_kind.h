// Whether a file is a picture or a sound, by its first bytes: what a client calls it decides nothing.
#pragma once
#include <cstdint>
#include <span>

namespace g3n::server {

enum class MediumKind { kUnknown, kImage, kAudio };
MediumKind kind_by_content(std::span<const std::uint8_t> bytes);

}  // namespace g3n::server
