// Owners of FFmpeg's objects, its error texts, and its silence. Included by the two units that call FFmpeg and by
// nothing else.
#pragma once
#include <memory>
#include <string>

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/frame.h>
#include <libavutil/pixdesc.h>
}

namespace g3n::media {

struct CodecContextDeleter {
  void operator()(AVCodecContext* context) const { avcodec_free_context(&context); }
};
struct FrameDeleter {
  void operator()(AVFrame* frame) const { av_frame_free(&frame); }
};
struct PacketDeleter {
  void operator()(AVPacket* packet) const { av_packet_free(&packet); }
};
using CodecContextPtr = std::unique_ptr<AVCodecContext, CodecContextDeleter>;
using FramePtr = std::unique_ptr<AVFrame, FrameDeleter>;
using PacketPtr = std::unique_ptr<AVPacket, PacketDeleter>;

// "Invalid data found when processing input", for an FFmpeg error code.
std::string ffmpeg_message(int code);

// Stops FFmpeg from writing to stderr, once per process: its log is a global, and the library must not print.
void silence_ffmpeg();

}  // namespace g3n::media
