// What a file is, told from its first bytes and never from its name. Both what g3n reads and what it can only name in
// an error.
#pragma once
#include "media/byte_reader.h"

namespace g3n::media {

enum class Format {
  kUnknown,
  kEmpty,
  // images
  kJpeg,
  kPng,
  kWebp,
  kGif,
  kBmp,
  kTiff,
  kPnm,
  kIco,
  // sound, or a video whose sound track is wanted
  kWav,
  kFlac,
  kMp3,
  kOgg,
  kMp4,
  kMatroska,
  kAvi,
  kAdts,
  kAiff,
  kAu,
  kW64,
  kCaf,
  kAsf,
  kMpegPs,
  kMpegTs,
  // only named in errors
  kHeic,
  kAvif,
  kJpegXl,
  kJpeg2000,
  kPsd,
  kBigTiff,
  kSvg,
  kAmr,
  kMidi,
  kPdf,
  kHtml,
  kZip,
  kGitLfs,
  kText,
};

enum class MediaKind { kImage, kSound, kOther };

struct FormatInfo {
  Format format;
  MediaKind kind;
  bool readable;        // g3n decodes it
  const char* name;     // "JPEG image", "MP3 sound"; for errors
  const char* demuxer;  // FFmpeg's name of the container, or null
};

// Never fails: what is not recognised is kUnknown.
const FormatInfo& sniff(Bytes bytes);

}  // namespace g3n::media
