// EXIF is a TIFF file inside a JPEG APP1 segment, a PNG eXIf chunk or a WebP EXIF chunk. Only directory 0 is read,
// once, without following links.
#include "media/exif.h"

namespace g3n::media {
namespace {

constexpr std::uint16_t kOrientationTag = 0x0112;
constexpr std::uint16_t kShort = 3, kLong = 4;
constexpr std::string_view kExifPrefix("Exif\0\0", 6);

}  // namespace

std::optional<std::uint32_t> tiff_field(Bytes tiff, std::uint16_t tag) {
  const bool little = has_text(tiff, 0, std::string_view("II*\0", 4));
  if (!little && !has_text(tiff, 0, std::string_view("MM\0*", 4))) return std::nullopt;
  ByteReader read(tiff, little ? Endian::kLittle : Endian::kBig);
  const std::size_t directory = read.u32(4);
  const std::size_t entries = read.u16(directory);
  for (std::size_t i = 0; i < entries && !read.failed(); ++i) {
    const std::size_t at = directory + 2 + 12 * i;
    if (read.u16(at) != tag) continue;
    const std::uint16_t type = read.u16(at + 2);
    const std::uint32_t value = type == kShort ? read.u16(at + 8) : read.u32(at + 8);
    if (read.failed() || (type != kShort && type != kLong) || read.u32(at + 4) != 1) return std::nullopt;
    return value;
  }
  return std::nullopt;
}

int exif_orientation(Bytes exif) {
  if (has_text(exif, 0, kExifPrefix)) exif = exif.subspan(kExifPrefix.size());
  const std::uint32_t value = tiff_field(exif, kOrientationTag).value_or(1);
  return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
}

Bytes find_exif_in_jpeg(Bytes file) {
  ByteReader read(file, Endian::kBig);
  std::size_t at = 2;
  while (!read.failed() && read.u8(at) == 0xFF) {
    const std::uint8_t marker = read.u8(at + 1);
    if (marker == 0xFF) {  // fill byte
      ++at;
      continue;
    }
    if (marker == 0xDA || marker == 0xD9) break;  // the picture itself, or the end
    const std::size_t length = read.u16(at + 2);
    if (read.failed() || length < 2) break;
    if (marker == 0xE1 && has_text(file, at + 4, kExifPrefix)) return slice(file, at + 4, length - 2);
    at += 2 + length;
  }
  return {};
}

Bytes find_exif_in_png(Bytes file) {
  ByteReader read(file, Endian::kBig);
  std::size_t at = 8;
  while (true) {
    const std::size_t length = read.u32(at);
    if (read.failed() || length > file.size()) return {};
    if (has_text(file, at + 4, "eXIf")) return slice(file, at + 8, length);
    if (has_text(file, at + 4, "IEND")) return {};
    at += 12 + length;
  }
}

Bytes find_exif_in_webp(Bytes file) {
  ByteReader read(file, Endian::kLittle);
  std::size_t at = 12;
  while (true) {
    const std::size_t length = read.u32(at + 4);
    if (read.failed() || length > file.size()) return {};
    if (has_text(file, at, "EXIF")) return slice(file, at + 8, length);
    at += 8 + length + (length & 1);
  }
}

}  // namespace g3n::media
