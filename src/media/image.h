// Picture files to RGB pixels. The format is recognised by content; see decode_image. Sits on libjpeg-turbo, libpng,
// libwebp and FFmpeg's decoders.
#pragma once
#include <cstdint>
#include <span>
#include <string>

#include "g3n/message.h"

namespace g3n {

// Larger pictures are refused before anything is decoded.
constexpr std::int64_t kMaxImageSide = 16384;
constexpr std::int64_t kMaxImagePixels = 50'000'000;

// Reads JPEG, PNG, WebP, GIF, BMP, TIFF, PPM and ICO; of an animation or several pages the first, of an ICO the largest
// picture. As transformers does when it opens a path: EXIF orientation is applied, alpha is dropped (not composited),
// gray is replicated, of 16 bits the high byte stays. `name` is used in messages only. Thread-safe. Throws Error:
// kUnsupported (another format, by name; too large), kBadFile (empty, cut, corrupt).
Pixels decode_image(std::span<const std::uint8_t> bytes, const std::string& name);

}  // namespace g3n
