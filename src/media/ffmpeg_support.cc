// What both users of FFmpeg share.
#include "media/ffmpeg_support.h"

#include <mutex>

extern "C" {
#include <libavutil/error.h>
#include <libavutil/log.h>
}

namespace g3n::media {

std::string ffmpeg_message(int code) {
  char text[AV_ERROR_MAX_STRING_SIZE] = "";
  if (av_strerror(code, text, sizeof text) < 0) return "FFmpeg error " + std::to_string(code);
  return text;
}

void silence_ffmpeg() {
  static std::once_flag once;
  std::call_once(once, [] { av_log_set_level(AV_LOG_QUIET); });
}

}  // namespace g3n::media
