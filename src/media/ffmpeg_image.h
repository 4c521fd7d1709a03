// One picture by one of FFmpeg's decoders, which take the whole file as a packet. Its size has been checked from the
// header.
#pragma once
#include <string>

#include "media/ffmpeg_support.h"
#include "media/image_decoders.h"

namespace g3n::media {

struct Picture {
  Bytes file;
  AVCodecID codec;
  const char* format;  // for errors
  const ImageTask& task;
};

// Throws kBadFile on any damage, kUnsupported for pixels that are not integers.
Pixels decode_by_ffmpeg(const Picture& picture);

}  // namespace g3n::media
