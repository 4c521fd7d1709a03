// FFmpeg's frames to RGB. Gray, RGB and palettes are copied here, so that 16 bits give their high byte; only YUV goes
// through swscale.
#include "media/ffmpeg_image.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "g3n/error.h"
#include "media/image.h"

extern "C" {
#include <libswscale/swscale.h>
}

namespace g3n::media {
namespace {

FramePtr decode_frame(const Picture& picture) {
  load_ffmpeg(picture.task.name);
  const AVCodec* codec = ffmpeg().avcodec_find_decoder(picture.codec);
  if (!codec)
    throw Error(ErrorCode::kUnsupported, picture.task.name + ": this build of FFmpeg cannot read " + picture.format);
  const CodecContextPtr context(ffmpeg().avcodec_alloc_context3(codec));
  const PacketPtr packet(ffmpeg().av_packet_alloc());
  FramePtr frame(av_frame_alloc());
  if (!context || !packet || !frame || picture.file.size() > INT32_MAX / 2) throw std::bad_alloc();
  context->max_pixels = picture.task.limits.image_pixels;
  context->err_recognition = AV_EF_EXPLODE | AV_EF_CRCCHECK;  // damage is an error, not a picture with holes
  context->thread_count = 1;
  context->log_level_offset = kSilentDecoder;
  if (ffmpeg().av_new_packet(packet.get(), static_cast<int>(picture.file.size())) < 0) throw std::bad_alloc();
  std::memcpy(packet->data, picture.file.data(), picture.file.size());
  packet->flags |= AV_PKT_FLAG_KEY;
  int status = ffmpeg().avcodec_open2(context.get(), codec, nullptr);
  if (status >= 0) status = ffmpeg().avcodec_send_packet(context.get(), packet.get());
  if (status >= 0) status = ffmpeg().avcodec_receive_frame(context.get(), frame.get());
  if (status == AVERROR_PATCHWELCOME || status == AVERROR(ENOSYS)) {
    throw Error(ErrorCode::kUnsupported, picture.task.name + ": a " + picture.format +
                                             " image of a kind that g3n cannot read; convert it to JPEG or PNG");
  }
  if (status < 0) throw_bad_image(picture.task, picture.format, ffmpeg_message(status));
  if (frame->decode_error_flags || (frame->flags & AV_FRAME_FLAG_CORRUPT))
    throw_bad_image(picture.task, picture.format, "damaged data");
  return frame;
}

void copy_palette_pixels(const AVFrame& frame, Pixels* pixels) {
  std::uint8_t* to = pixels->rgb.data();
  for (int y = 0; y < frame.height; ++y) {
    const std::uint8_t* row = frame.data[0] + static_cast<std::ptrdiff_t>(y) * frame.linesize[0];
    for (int x = 0; x < frame.width; ++x, to += 3) {
      std::uint32_t argb;
      std::memcpy(&argb, frame.data[1] + 4 * row[x], sizeof argb);
      to[0] = static_cast<std::uint8_t>(argb >> 16);
      to[1] = static_cast<std::uint8_t>(argb >> 8);
      to[2] = static_cast<std::uint8_t>(argb);
    }
  }
}

// Gray or RGB of any packing and depth: more than 8 bits give the high byte, fewer are stretched to 0..255.
void copy_component_pixels(const AVFrame& frame, const AVPixFmtDescriptor& format, Pixels* pixels) {
  const bool gray = format.nb_components < 3;
  const bool inverted = frame.format == AV_PIX_FMT_MONOWHITE;
  std::vector<std::uint16_t> line(frame.width);
  const std::uint8_t* planes[4] = {frame.data[0], frame.data[1], frame.data[2], frame.data[3]};
  for (int c = 0; c < (gray ? 1 : 3); ++c) {
    const int depth = format.comp[c].depth, most = (1 << std::min(depth, 8)) - 1;
    for (int y = 0; y < frame.height; ++y) {
      av_read_image_line2(line.data(), planes, frame.linesize, &format, 0, y, c, frame.width, 0, 2);
      std::uint8_t* to = pixels->rgb.data() + 3 * static_cast<std::size_t>(y) * frame.width + c;
      for (int x = 0; x < frame.width; ++x, to += 3) {
        int value = depth > 8 ? line[x] >> (depth - 8) : line[x] * 255 / most;
        if (inverted) value = 255 - value;
        to[0] = static_cast<std::uint8_t>(value);
        if (gray) to[1] = to[2] = to[0];
      }
    }
  }
}

void convert_yuv(const AVFrame& frame, const Picture& picture, Pixels* pixels) {
  const auto format = static_cast<AVPixelFormat>(frame.format);
  constexpr int kFlags = SWS_BILINEAR | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT;
  const std::unique_ptr<SwsContext, void (*)(SwsContext*)> scaler(
      sws_getContext(frame.width, frame.height, format, frame.width, frame.height, AV_PIX_FMT_RGB24, kFlags, nullptr,
                     nullptr, nullptr),
      sws_freeContext);
  std::uint8_t* planes[1] = {pixels->rgb.data()};
  const int steps[1] = {3 * frame.width};
  if (!scaler || sws_scale(scaler.get(), frame.data, frame.linesize, 0, frame.height, planes, steps) != frame.height) {
    throw Error(ErrorCode::kUnsupported,
                picture.task.name + ": a " + picture.format + " image with pixels of a kind that g3n cannot convert");
  }
}

}  // namespace

Pixels decode_by_ffmpeg(const Picture& picture) {
  const FramePtr frame = decode_frame(picture);
  check_image_size(frame->width, frame->height, picture.task);
  const AVPixFmtDescriptor* format = av_pix_fmt_desc_get(static_cast<AVPixelFormat>(frame->format));
  if (!format || (format->flags & AV_PIX_FMT_FLAG_FLOAT) || format->comp[0].depth > 16) {
    throw Error(ErrorCode::kUnsupported, picture.task.name + ": a " + picture.format +
                                             " image with floating-point pixels; convert it to JPEG or PNG");
  }
  Pixels pixels = make_pixels(frame->width, frame->height);
  if (format->flags & AV_PIX_FMT_FLAG_PAL) {
    copy_palette_pixels(*frame, &pixels);
  } else if ((format->flags & AV_PIX_FMT_FLAG_RGB) || format->nb_components < 3) {
    copy_component_pixels(*frame, *format, &pixels);
  } else {
    convert_yuv(*frame, picture, &pixels);
  }
  return pixels;
}

}  // namespace g3n::media
