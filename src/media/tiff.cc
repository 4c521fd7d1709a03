// TIFF: the directories are read here (size, completeness), the first picture by FFmpeg's decoder.
#include <algorithm>
#include <vector>

#include "g3n/error.h"
#include "media/exif.h"
#include "media/ffmpeg_image.h"
#include "media/image_decoders.h"

namespace g3n::media {
namespace {

constexpr std::size_t kEntryBytes = 12;

Endian endian_of(Bytes file) { return file[0] == 'I' ? Endian::kLittle : Endian::kBig; }

// A copy of the file whose first directory keeps only what FFmpeg's decoder understands: strict as it is set here, it
// refuses unknown tags.
std::vector<std::uint8_t> with_known_tags(Bytes file) {
  constexpr std::uint16_t kKnown[] = {256, 257, 258, 259, 262, 266, 273, 277, 278, 279,
                                      284, 292, 293, 317, 320, 322, 323, 324, 325, 530};
  std::vector<std::uint8_t> copy(file.begin(), file.end());
  ByteReader read(file, endian_of(file));
  const std::size_t directory = read.u32(4), entries = read.u16(directory);
  if (read.failed() || entries * kEntryBytes + 6 > file.size() - directory) return copy;  // damaged: FFmpeg will say so
  std::size_t kept = 0;
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t from = directory + 2 + kEntryBytes * i;
    if (!std::binary_search(std::begin(kKnown), std::end(kKnown), read.u16(from))) continue;
    std::copy_n(file.begin() + static_cast<std::ptrdiff_t>(from), kEntryBytes,
                copy.begin() + static_cast<std::ptrdiff_t>(directory + 2 + kEntryBytes * kept++));
  }
  const bool little = file[0] == 'I';
  copy[directory + (little ? 0 : 1)] = static_cast<std::uint8_t>(kept);
  copy[directory + (little ? 1 : 0)] = 0;  // at most as many as are known, unless a damaged file repeats them
  std::fill_n(copy.begin() + static_cast<std::ptrdiff_t>(directory + 2 + kEntryBytes * kept), 4,
              std::uint8_t{0});  // no next directory
  return copy;
}

// The numbers of one entry (SHORT or LONG), inside the entry or where it points; empty when they lie outside the file.
std::vector<std::uint32_t> entry_values(Bytes file, std::size_t entry) {
  constexpr std::uint16_t kShort = 3, kLong = 4;
  ByteReader read(file, endian_of(file));
  const std::uint16_t type = read.u16(entry + 2);
  const std::size_t count = read.u32(entry + 4), width = type == kShort ? 2 : 4;
  const std::size_t at = count * width <= 4 ? entry + 8 : read.u32(entry + 8);
  if ((type != kShort && type != kLong) || at > file.size() || count > (file.size() - at) / width) return {};
  std::vector<std::uint32_t> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = width == 2 ? read.u16(at + 2 * i) : read.u32(at + 4 * i);
  return values;
}

// The first number of a field of the first directory, or a default.
std::uint32_t first_value(Bytes file, std::uint16_t tag, std::uint32_t missing) {
  ByteReader read(file, endian_of(file));
  const std::size_t directory = read.u32(4), entries = read.u16(directory);
  for (std::size_t i = 0; i < entries && !read.failed(); ++i) {
    const std::size_t entry = directory + 2 + kEntryBytes * i;
    if (read.u16(entry) != tag) continue;
    const std::vector<std::uint32_t> values = entry_values(file, entry);
    return values.empty() ? missing : values[0];
  }
  return missing;
}

// What FFmpeg would decode wrongly or not at all is refused by name.
void check_kind(Bytes file, const ImageTask& task) {
  constexpr std::uint16_t kBits = 258, kCompression = 259, kSampleFormat = 339;
  constexpr std::uint32_t kReadable[] = {1, 2, 3, 4, 5, 8, 32773, 32946};  // plain, fax, LZW, deflate, PackBits
  const std::uint32_t compression = first_value(file, kCompression, 1), bits = first_value(file, kBits, 1),
                      format = first_value(file, kSampleFormat, 1);
  std::string what;
  if (!std::binary_search(std::begin(kReadable), std::end(kReadable), compression))
    what = "compression " + std::to_string(compression);
  if (bits > 16) what = std::to_string(bits) + " bits per sample";
  if (format != 1) what = "sample format " + std::to_string(format);
  if (!what.empty())
    throw Error(ErrorCode::kUnsupported,
                task.name + ": a TIFF image with " + what + ", which g3n cannot read; convert it to JPEG or PNG");
}

// Every strip or tile of every page must lie in the file, so that a cut file is noticed although only its first page is
// decoded.
void check_complete(Bytes file, const ImageTask& task) {
  constexpr std::uint16_t kStripOffsets = 273, kStripBytes = 279, kTileOffsets = 324, kTileBytes = 325;
  constexpr int kMaxPages = 10000;                // also the end of a chain that bites its tail
  constexpr std::size_t kMaxStrips = 10'000'000;  // of all pages together
  std::size_t strips = 0;
  ByteReader read(file, endian_of(file));
  std::size_t directory = read.u32(4);
  for (int page = 0; directory != 0 && page < kMaxPages; ++page) {
    const std::size_t entries = read.u16(directory);
    std::vector<std::uint32_t> offsets, bytes;
    for (std::size_t i = 0; i < entries && !read.failed(); ++i) {
      const std::size_t entry = directory + 2 + kEntryBytes * i;
      const std::uint16_t tag = read.u16(entry);
      if (tag == kStripOffsets || tag == kTileOffsets) offsets = entry_values(file, entry);
      if (tag == kStripBytes || tag == kTileBytes) bytes = entry_values(file, entry);
    }
    directory = read.u32(directory + 2 + kEntryBytes * entries);
    if (read.failed()) throw_bad_image(task, "TIFF", "unexpected end of file in directory " + std::to_string(page));
    strips += offsets.size() + bytes.size();
    if (strips > kMaxStrips) throw_bad_image(task, "TIFF", "too many strips");
    for (std::size_t i = 0; i < std::min(offsets.size(), bytes.size()); ++i) {
      if (std::uint64_t{offsets[i]} + bytes[i] > file.size())
        throw_bad_image(task, "TIFF", "page " + std::to_string(page) + " goes beyond the end of the file");
    }
  }
}

}  // namespace

Pixels decode_tiff(Bytes file, const ImageTask& task) {
  constexpr std::uint16_t kWidthTag = 256, kHeightTag = 257;
  const auto width = tiff_field(file, kWidthTag), height = tiff_field(file, kHeightTag);
  if (!width || !height) throw_bad_image(task, "TIFF", "no width and height in its first directory");
  check_image_size(*width, *height, task);
  check_kind(file, task);
  check_complete(file, task);
  return decode_by_ffmpeg({with_known_tags(file), AV_CODEC_ID_TIFF, "TIFF", task});
}

}  // namespace g3n::media
