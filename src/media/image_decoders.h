// The decoders behind decode_image, one per library. Each takes a file already recognised, checks its size before
// decoding, and throws g3n::Error.
#pragma once
#include <string>

#include "g3n/message.h"
#include "media/byte_reader.h"
#include "media/decode_limits.h"

namespace g3n::media {

// A picture as errors name it, and what decoding it may come to.
struct ImageTask {
  const std::string& name;
  const DecodeLimits& limits;
  const DecodeClock& clock;
};

Pixels decode_jpeg(Bytes file, const ImageTask& task);
Pixels decode_png(Bytes file, const ImageTask& task);
Pixels decode_webp(Bytes file, const ImageTask& task);
Pixels decode_gif(Bytes file, const ImageTask& task);
Pixels decode_ico(Bytes file, const ImageTask& task);
Pixels decode_bmp(Bytes file, const ImageTask& task);
Pixels decode_tiff(Bytes file, const ImageTask& task);
Pixels decode_pnm(Bytes file, const ImageTask& task);

// Throws kUnsupported with both limits when a picture is too large, kBadFile when a side is not positive.
void check_image_size(std::int64_t width, std::int64_t height, const ImageTask& task);

// Black pixels of a size already checked.
Pixels make_pixels(std::int64_t width, std::int64_t height);

// Throws kBadFile: "NAME: the FORMAT image is cut or corrupt: WHY".
[[noreturn]] void throw_bad_image(const ImageTask& task, const char* format, const std::string& why);

}  // namespace g3n::media
