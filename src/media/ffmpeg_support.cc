// What both users of FFmpeg share.
#include "media/ffmpeg_support.h"

extern "C" {
#include <libavutil/error.h>
}

namespace g3n::media {

std::string ffmpeg_message(int code) {
  char text[AV_ERROR_MAX_STRING_SIZE] = "";
  if (av_strerror(code, text, sizeof text) < 0) return "FFmpeg error " + std::to_string(code);
  return text;
}

}  // namespace g3n::media
