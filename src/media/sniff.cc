// Signatures of media files. Order matters only where one signature is a prefix of another (RIFF, ftyp, text).
#include "media/sniff.h"

#include <algorithm>
#include <string>

namespace g3n::media {
namespace {

constexpr MediaKind kImage = MediaKind::kImage;
constexpr MediaKind kSound = MediaKind::kSound;
constexpr MediaKind kOther = MediaKind::kOther;

constexpr FormatInfo kFormats[] = {
    {Format::kUnknown, kOther, false, "a file of unknown format", nullptr},
    {Format::kEmpty, kOther, false, "an empty file", nullptr},
    {Format::kJpeg, kImage, true, "a JPEG image", nullptr},
    {Format::kPng, kImage, true, "a PNG image", nullptr},
    {Format::kWebp, kImage, true, "a WebP image", nullptr},
    {Format::kGif, kImage, true, "a GIF image", nullptr},
    {Format::kBmp, kImage, true, "a BMP image", nullptr},
    {Format::kTiff, kImage, true, "a TIFF image", nullptr},
    {Format::kPnm, kImage, true, "a PPM image", nullptr},
    {Format::kIco, kImage, true, "an ICO image", nullptr},
    {Format::kWav, kSound, true, "WAV sound", "wav"},
    {Format::kFlac, kSound, true, "FLAC sound", "flac"},
    {Format::kMp3, kSound, true, "MP3 sound", "mp3"},
    {Format::kOgg, kSound, true, "an Ogg file", "ogg"},
    {Format::kMp4, kSound, true, "an MP4 or M4A file", "mov"},
    {Format::kMatroska, kSound, true, "a Matroska or WebM file", "matroska"},
    {Format::kAvi, kSound, true, "an AVI video", "avi"},
    {Format::kAdts, kSound, true, "AAC sound", "aac"},
    {Format::kAiff, kSound, true, "AIFF sound", "aiff"},
    {Format::kAu, kSound, true, "AU sound", "au"},
    {Format::kW64, kSound, true, "W64 sound", "w64"},
    {Format::kCaf, kSound, true, "CAF sound", "caf"},
    {Format::kAsf, kSound, true, "a WMA or WMV file", "asf"},
    {Format::kMpegPs, kSound, true, "an MPEG video", "mpeg"},
    {Format::kMpegTs, kSound, true, "an MPEG transport stream", "mpegts"},
    {Format::kHeic, kImage, false, "HEIC", nullptr},
    {Format::kAvif, kImage, false, "AVIF", nullptr},
    {Format::kJpegXl, kImage, false, "JPEG XL", nullptr},
    {Format::kJpeg2000, kImage, false, "JPEG 2000", nullptr},
    {Format::kPsd, kImage, false, "a Photoshop document", nullptr},
    {Format::kBigTiff, kImage, false, "BigTIFF", nullptr},
    {Format::kSvg, kImage, false, "SVG", nullptr},
    {Format::kAmr, kSound, false, "AMR", nullptr},
    {Format::kMidi, kSound, false, "MIDI", nullptr},
    {Format::kPdf, kOther, false, "a PDF document", nullptr},
    {Format::kHtml, kOther, false, "an HTML page", nullptr},
    {Format::kZip, kOther, false, "a ZIP archive", nullptr},
    {Format::kGitLfs, kOther, false, "a git-lfs pointer (run `git lfs pull`)", nullptr},
    {Format::kText, kOther, false, "a text file", nullptr},
};

struct Signature {
  std::size_t at;
  std::string_view text;
  Format format;
};

using namespace std::string_view_literals;

constexpr Signature kSignatures[] = {
    {0, "\xFF\xD8\xFF"sv, Format::kJpeg},
    {0, "\x89PNG\r\n\x1A\n"sv, Format::kPng},
    {0, "GIF87a"sv, Format::kGif},
    {0, "GIF89a"sv, Format::kGif},
    {0, "II*\0"sv, Format::kTiff},
    {0, "MM\0*"sv, Format::kTiff},
    {0, "II+\0"sv, Format::kBigTiff},
    {0, "MM\0+"sv, Format::kBigTiff},
    {0, "\0\0\1\0"sv, Format::kIco},
    {0, "fLaC"sv, Format::kFlac},
    {0, "OggS"sv, Format::kOgg},
    {0, "\x1A\x45\xDF\xA3"sv, Format::kMatroska},
    {0, ".snd"sv, Format::kAu},
    {0, "caff"sv, Format::kCaf},
    {0, "riff\x2E\x91\xCF\x11\xA5\xD6\x28\xDB\x04\xC1\0\0"sv, Format::kW64},
    {0, "\x30\x26\xB2\x75\x8E\x66\xCF\x11"sv, Format::kAsf},
    {0, "\0\0\1\xBA"sv, Format::kMpegPs},
    {0, "\xFF\x0A"sv, Format::kJpegXl},
    {0, "\0\0\0\x0CJXL "sv, Format::kJpegXl},
    {0, "\0\0\0\x0CjP  "sv, Format::kJpeg2000},
    {0, "\xFF\x4F\xFF\x51"sv, Format::kJpeg2000},
    {0, "8BPS"sv, Format::kPsd},
    {0, "#!AMR"sv, Format::kAmr},
    {0, "MThd"sv, Format::kMidi},
    {0, "%PDF-"sv, Format::kPdf},
    {0, "PK\3\4"sv, Format::kZip},
    {0, "version https://git-lfs"sv, Format::kGitLfs},
    {4, "moov"sv, Format::kMp4},
    {4, "mdat"sv, Format::kMp4},
    {4, "wide"sv, Format::kMp4},
};

// ISO base media: the brands say whether it is a picture or sound and video.
Format sniff_ftyp(Bytes bytes) {
  ByteReader read(bytes, Endian::kBig);
  const std::size_t box = std::min<std::size_t>({read.u32(0), bytes.size(), 256});
  bool picture = has_text(bytes, 8, "mif1") || has_text(bytes, 8, "msf1");
  for (std::size_t at = 8; at + 4 <= box; at += 4) {
    if (at == 12) continue;  // the minor version
    if (has_text(bytes, at, "avif") || has_text(bytes, at, "avis")) return Format::kAvif;
    for (const char* brand : {"heic", "heix", "hevc", "hevx", "heim", "heis"}) {
      if (has_text(bytes, at, brand)) return Format::kHeic;
    }
  }
  return picture ? Format::kHeic : Format::kMp4;
}

Format sniff_riff(Bytes bytes) {
  if (has_text(bytes, 8, "WAVE")) return Format::kWav;
  if (has_text(bytes, 8, "WEBP")) return Format::kWebp;
  if (has_text(bytes, 8, "AVI ")) return Format::kAvi;
  return Format::kUnknown;
}

// Frames of MPEG sound start with eleven set bits; layer bits 00 are ADTS (AAC), version 01 and rate 11 are reserved.
Format sniff_mpeg_sync(Bytes bytes) {
  if (bytes.size() < 4 || bytes[0] != 0xFF || (bytes[1] & 0xE0) != 0xE0) return Format::kUnknown;
  const int version = bytes[1] >> 3 & 3, layer = bytes[1] >> 1 & 3;
  if ((bytes[1] & 0xF6) == 0xF0) return Format::kAdts;
  if (version == 1 || layer == 0 || bytes[2] >> 4 == 15 || (bytes[2] >> 2 & 3) == 3) return Format::kUnknown;
  return Format::kMp3;
}

Format sniff_text(Bytes bytes) {
  const Bytes head = bytes.first(std::min<std::size_t>(bytes.size(), 1024));
  std::string lower;
  for (const std::uint8_t c : head) {
    if (c == 0 || (c < 32 && c != '\t' && c != '\n' && c != '\r' && c != '\f' && c != 27)) return Format::kUnknown;
    lower += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  }
  if (lower.find("<svg") != std::string::npos) return Format::kSvg;
  if (lower.find("<html") != std::string::npos || lower.find("<!doctype html") != std::string::npos)
    return Format::kHtml;
  return Format::kText;
}

bool is_bmp(Bytes bytes) {
  if (!has_text(bytes, 0, "BM")) return false;
  ByteReader read(bytes, Endian::kLittle);
  const std::uint32_t header = read.u32(14);
  return !read.failed() && (header == 12 || (header >= 16 && header <= 124));
}

bool is_pnm(Bytes bytes) {
  if (bytes.size() < 3 || bytes[0] != 'P') return false;
  const bool kind = bytes[1] >= '1' && bytes[1] <= '7';
  return kind && (bytes[2] == ' ' || bytes[2] == '\n' || bytes[2] == '\r' || bytes[2] == '\t' || bytes[2] == '#');
}

Format recognise(Bytes bytes);

// An ID3 tag may stand before MP3, AAC or FLAC; its size is 4 x 7 bits.
Format sniff_behind_id3(Bytes bytes) {
  if (bytes.size() < 10) return Format::kMp3;
  const std::size_t size =
      std::size_t{bytes[6] & 127u} << 21 | (bytes[7] & 127u) << 14 | (bytes[8] & 127u) << 7 | (bytes[9] & 127u);
  const Bytes rest = slice(bytes, 10 + size, bytes.size());
  if (rest.empty() || has_text(rest, 0, "ID3")) return Format::kMp3;
  const Format behind = recognise(rest);
  return behind == Format::kFlac || behind == Format::kAdts ? behind : Format::kMp3;
}

Format recognise(Bytes bytes) {
  if (bytes.empty()) return Format::kEmpty;
  if (has_text(bytes, 0, "ID3")) return sniff_behind_id3(bytes);
  for (const Signature& signature : kSignatures) {
    if (has_text(bytes, signature.at, signature.text)) return signature.format;
  }
  if (has_text(bytes, 4, "ftyp")) return sniff_ftyp(bytes);
  if (has_text(bytes, 0, "RIFF") || has_text(bytes, 0, "RF64") || has_text(bytes, 0, "BW64")) return sniff_riff(bytes);
  if (has_text(bytes, 0, "FORM") && (has_text(bytes, 8, "AIFF") || has_text(bytes, 8, "AIFC"))) return Format::kAiff;
  if (is_bmp(bytes)) return Format::kBmp;
  if (is_pnm(bytes)) return Format::kPnm;
  if (bytes.size() > 188 && bytes[0] == 0x47 && bytes[188] == 0x47) return Format::kMpegTs;
  const Format sync = sniff_mpeg_sync(bytes);
  return sync != Format::kUnknown ? sync : sniff_text(bytes);
}

}  // namespace

const FormatInfo& sniff(Bytes bytes) {
  const Format format = recognise(bytes);
  const auto* found =
      std::find_if(std::begin(kFormats), std::end(kFormats), [&](const FormatInfo& f) { return f.format == format; });
  return *found;
}

}  // namespace g3n::media
