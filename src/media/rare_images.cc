// BMP, TIFF, PPM and ICO: headers are read here (sizes are checked before decoding), pictures by FFmpeg's decoders, which take the file as one packet.
#include <algorithm>
#include <cstring>
#include <new>

#include "g3n/error.h"
#include "media/exif.h"
#include "media/ffmpeg_support.h"
#include "media/image.h"
#include "media/image_decoders.h"

extern "C" {
#include <libswscale/swscale.h>
}

namespace g3n::media {
namespace {

struct Picture {
  Bytes file;
  AVCodecID codec;
  const char* format;  // for errors
  const std::string& name;
};

FramePtr decode_frame(const Picture& picture) {
  silence_ffmpeg();
  const AVCodec* codec = avcodec_find_decoder(picture.codec);
  if (!codec) throw Error(ErrorCode::kUnsupported, picture.name + ": this build of FFmpeg cannot read " + picture.format);
  const CodecContextPtr context(avcodec_alloc_context3(codec));
  const PacketPtr packet(av_packet_alloc());
  FramePtr frame(av_frame_alloc());
  if (!context || !packet || !frame || picture.file.size() > INT32_MAX / 2) throw std::bad_alloc();
  context->max_pixels = kMaxImagePixels;
  context->err_recognition = AV_EF_EXPLODE | AV_EF_CRCCHECK;  // damage is an error, not a picture with holes
  context->thread_count = 1;
  if (av_new_packet(packet.get(), static_cast<int>(picture.file.size())) < 0) throw std::bad_alloc();
  std::memcpy(packet->data, picture.file.data(), picture.file.size());
  packet->flags |= AV_PKT_FLAG_KEY;
  int status = avcodec_open2(context.get(), codec, nullptr);
  if (status >= 0) status = avcodec_send_packet(context.get(), packet.get());
  if (status >= 0) status = avcodec_receive_frame(context.get(), frame.get());
  if (status < 0) throw_bad_image(picture.name, picture.format, ffmpeg_message(status));
  if (frame->decode_error_flags || (frame->flags & AV_FRAME_FLAG_CORRUPT)) throw_bad_image(picture.name, picture.format, "damaged data");
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
      sws_getContext(frame.width, frame.height, format, frame.width, frame.height, AV_PIX_FMT_RGB24, kFlags, nullptr, nullptr, nullptr),
      sws_freeContext);
  std::uint8_t* planes[1] = {pixels->rgb.data()};
  const int steps[1] = {3 * frame.width};
  if (!scaler || sws_scale(scaler.get(), frame.data, frame.linesize, 0, frame.height, planes, steps) != frame.height) {
    throw Error(ErrorCode::kUnsupported, picture.name + ": a " + picture.format + " image with pixels of a kind that g3n cannot convert");
  }
}

Pixels decode_by_ffmpeg(const Picture& picture) {
  const FramePtr frame = decode_frame(picture);
  check_image_size(frame->width, frame->height, picture.name);
  const AVPixFmtDescriptor* format = av_pix_fmt_desc_get(static_cast<AVPixelFormat>(frame->format));
  if (!format || (format->flags & AV_PIX_FMT_FLAG_FLOAT) || format->comp[0].depth > 16) {
    throw Error(ErrorCode::kUnsupported, picture.name + ": a " + picture.format + " image with floating-point pixels; convert it to JPEG or PNG");
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

// Reads a PNM header: numbers and words between white space and # comments.
class PnmHeader {
 public:
  explicit PnmHeader(Bytes file) : file_(file) {}
  std::string next_word() {
    skip_space();
    std::string word;
    while (at_ < file_.size() && !is_space(file_[at_]) && word.size() < 16) word += static_cast<char>(file_[at_++]);
    return word;
  }
  std::int64_t next_number() {
    const std::string word = next_word();
    std::int64_t value = 0;
    for (const char c : word) {
      if (c < '0' || c > '9' || value > 1'000'000'000) return 0;
      value = 10 * value + (c - '0');
    }
    return value;
  }

 private:
  static bool is_space(std::uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
  void skip_space() {
    while (at_ < file_.size() && (is_space(file_[at_]) || file_[at_] == '#')) {
      if (file_[at_] == '#') {
        while (at_ < file_.size() && file_[at_] != '\n') ++at_;
      } else {
        ++at_;
      }
    }
  }
  Bytes file_;
  std::size_t at_ = 0;
};

AVCodecID pnm_codec(char kind) {
  switch (kind) {
    case '1':
    case '4': return AV_CODEC_ID_PBM;
    case '2':
    case '5': return AV_CODEC_ID_PGM;
    case '7': return AV_CODEC_ID_PAM;
    default: return AV_CODEC_ID_PPM;
  }
}

// A copy of the file whose first directory keeps only what FFmpeg's decoder understands: strict as it is set here, it refuses unknown tags.
std::vector<std::uint8_t> with_known_tags(Bytes file) {
  constexpr std::uint16_t kKnown[] = {256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 292, 293, 317, 320, 322, 323, 324, 325, 530};
  constexpr std::size_t kEntryBytes = 12;
  std::vector<std::uint8_t> copy(file.begin(), file.end());
  ByteReader read(file, file[0] == 'I' ? Endian::kLittle : Endian::kBig);
  const std::size_t directory = read.u32(4), entries = read.u16(directory);
  if (read.failed() || entries * kEntryBytes + 6 > file.size() - directory) return copy;  // damaged: FFmpeg will say so
  std::size_t kept = 0;
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t from = directory + 2 + kEntryBytes * i;
    if (!std::binary_search(std::begin(kKnown), std::end(kKnown), read.u16(from))) continue;
    std::copy_n(file.begin() + static_cast<std::ptrdiff_t>(from), kEntryBytes, copy.begin() + static_cast<std::ptrdiff_t>(directory + 2 + kEntryBytes * kept++));
  }
  const bool little = file[0] == 'I';
  copy[directory + (little ? 0 : 1)] = static_cast<std::uint8_t>(kept);
  copy[directory + (little ? 1 : 0)] = 0;  // at most as many as are known, unless a damaged file repeats them
  std::fill_n(copy.begin() + static_cast<std::ptrdiff_t>(directory + 2 + kEntryBytes * kept), 4, std::uint8_t{0});  // no next directory
  return copy;
}

constexpr std::size_t kBmpHeaderBytes = 14;

// A picture inside an ICO: a BMP without its file header, of twice the height because the mask follows the colours.
std::vector<std::uint8_t> bmp_of_ico(Bytes dib, const std::string& name) {
  ByteReader read(dib, Endian::kLittle);
  const std::uint32_t header = read.u32(0), height = read.u32(8), bits = read.u16(14);
  std::uint32_t colours = read.u32(32);
  if (read.failed() || header < 40 || header > dib.size() || colours > 256) throw_bad_image(name, "ICO", "a damaged entry");
  if (colours == 0 && bits <= 8) colours = 1u << bits;
  std::vector<std::uint8_t> bmp(kBmpHeaderBytes);
  bmp.insert(bmp.end(), dib.begin(), dib.end());
  const auto put = [&](std::size_t at, std::uint32_t value) {
    for (std::size_t i = 0; i < 4; ++i) bmp[at + i] = static_cast<std::uint8_t>(value >> (8 * i));
  };
  bmp[0] = 'B', bmp[1] = 'M';
  put(2, static_cast<std::uint32_t>(bmp.size()));
  put(10, static_cast<std::uint32_t>(kBmpHeaderBytes + header + 4 * colours));
  put(kBmpHeaderBytes + 8, height / 2);
  put(kBmpHeaderBytes + 20, 0);  // the size of the data: it included the mask
  return bmp;
}

}  // namespace

Pixels decode_bmp(Bytes file, const std::string& name) {
  ByteReader read(file, Endian::kLittle);
  const bool old = read.u32(14) == 12;
  const std::int64_t width = old ? read.u16(18) : static_cast<std::int32_t>(read.u32(18));
  const std::int64_t height = old ? read.u16(20) : static_cast<std::int32_t>(read.u32(22));
  if (read.failed()) throw_bad_image(name, "BMP", "unexpected end of file");
  check_image_size(width, height < 0 ? -height : height, name);  // negative: rows from the top
  return decode_by_ffmpeg({file, AV_CODEC_ID_BMP, "BMP", name});
}

Pixels decode_tiff(Bytes file, const std::string& name) {
  constexpr std::uint16_t kWidthTag = 256, kHeightTag = 257;
  const auto width = tiff_field(file, kWidthTag), height = tiff_field(file, kHeightTag);
  if (!width || !height) throw_bad_image(name, "TIFF", "no width and height in its first directory");
  check_image_size(*width, *height, name);
  return decode_by_ffmpeg({with_known_tags(file), AV_CODEC_ID_TIFF, "TIFF", name});
}

Pixels decode_pnm(Bytes file, const std::string& name) {
  PnmHeader header(file);
  const std::string magic = header.next_word();
  std::int64_t width = 0, height = 0;
  if (magic == "P7") {
    for (std::string word = header.next_word(); !word.empty() && word != "ENDHDR"; word = header.next_word()) {
      if (word == "WIDTH") width = header.next_number();
      if (word == "HEIGHT") height = header.next_number();
    }
  } else {
    width = header.next_number();
    height = header.next_number();
  }
  check_image_size(width, height, name);
  return decode_by_ffmpeg({file, pnm_codec(static_cast<char>(file[1])), "PPM", name});
}

Pixels decode_ico(Bytes file, const std::string& name) {
  ByteReader read(file, Endian::kLittle);
  const std::size_t entries = read.u16(4);
  std::size_t best = 0;
  int best_area = -1;
  for (std::size_t i = 0; i < entries && !read.failed(); ++i) {
    const int width = read.u8(6 + 16 * i), height = read.u8(7 + 16 * i);
    const int area = (width ? width : 256) * (height ? height : 256);
    if (area > best_area) best = i, best_area = area;
  }
  const std::size_t count = read.u32(6 + 16 * best + 8), start = read.u32(6 + 16 * best + 12);
  if (entries == 0 || read.failed() || start > file.size() || count > file.size() - start) throw_bad_image(name, "ICO", "unexpected end of file");
  const Bytes entry = file.subspan(start, count);
  if (has_text(entry, 0, "\x89PNG")) return decode_png(entry, name);
  return decode_bmp(bmp_of_ico(entry, name), name);
}

}  // namespace g3n::media
