// Owners of FFmpeg's objects and its error texts. Included by the two units that call FFmpeg and by nothing else.
#pragma once
#include <memory>
#include <string>

#include "media/ffmpeg_library.h"

extern "C" {
#include <libavutil/frame.h>
#include <libavutil/pixdesc.h>
}

namespace g3n::media {

struct CodecContextDeleter {
  void operator()(AVCodecContext* context) const { ffmpeg().avcodec_free_context(&context); }
};
struct FrameDeleter {
  void operator()(AVFrame* frame) const { av_frame_free(&frame); }
};
struct PacketDeleter {
  void operator()(AVPacket* packet) const { ffmpeg().av_packet_free(&packet); }
};
using CodecContextPtr = std::unique_ptr<AVCodecContext, CodecContextDeleter>;
using FramePtr = std::unique_ptr<AVFrame, FrameDeleter>;
using PacketPtr = std::unique_ptr<AVPacket, PacketDeleter>;

// "Invalid data found when processing input", for an FFmpeg error code.
std::string ffmpeg_message(int code);

// Added to the level of a decoder's messages (log_level_offset), so that none is important enough to be printed.
// FFmpeg's own log level belongs to the process and is left alone; what containers say follows it.
inline constexpr int kSilentDecoder = 100;  // levels end at 56; FFmpeg reads a color out of the bits above 255

}  // namespace g3n::media
