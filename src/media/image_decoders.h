// The decoders behind decode_image, one per library. Each takes a file already recognised, checks its size before
// decoding, and throws g3n::Error.
#pragma once
#include <string>

#include "g3n/message.h"
#include "media/byte_reader.h"

namespace g3n::media {

Pixels decode_jpeg(Bytes file, const std::string& name);
Pixels decode_png(Bytes file, const std::string& name);
Pixels decode_webp(Bytes file, const std::string& name);
Pixels decode_gif(Bytes file, const std::string& name);
Pixels decode_ico(Bytes file, const std::string& name);
Pixels decode_bmp(Bytes file, const std::string& name);
Pixels decode_tiff(Bytes file, const std::string& name);
Pixels decode_pnm(Bytes file, const std::string& name);

// Throws kUnsupported with both limits when a picture is too large, kBadFile when a side is not positive.
void check_image_size(std::int64_t width, std::int64_t height, const std::string& name);

// Black pixels of a size already checked.
Pixels make_pixels(std::int64_t width, std::int64_t height);

// Throws kBadFile: "NAME: the FORMAT image is cut or corrupt: WHY".
[[noreturn]] void throw_bad_image(const std::string& name, const char* format, const std::string& why);

}  // namespace g3n::media
