// Picture files to RGB pixels. The format is recognised by content; see decode_image. Sits on libjpeg-turbo, libpng,
// libwebp and FFmpeg's decoders.
#pragma once
#include <cstdint>
#include <span>
#include <string>

#include "g3n/message.h"
#include "media/decode_limits.h"

namespace g3n {

// Reads JPEG, PNG, WebP, GIF, BMP, TIFF, PPM and ICO; of an animation or several pages the first, of an ICO the largest
// picture. As transformers does when it opens a path: EXIF orientation is applied, alpha is dropped (not composited),
// gray is replicated, of 16 bits the high byte stays. The size is held against the limits before anything is decoded;
// the time of JPEG and PNG is while they are, other formats take time by their size alone. `name` is used in messages
// only. Thread-safe. Throws Error: kUnsupported (another format, by name; too large; too slow), kBadFile (empty, cut,
// corrupt).
Pixels decode_image(std::span<const std::uint8_t> bytes, const std::string& name, const DecodeLimits& limits = {});

}  // namespace g3n
