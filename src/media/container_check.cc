// Is a container complete? Ogg pages carry checksums, MP4 boxes, Matroska segments and ADTS frames carry sizes; only those are read here.
#include <array>
#include <string_view>

#include "media/audio_decoders.h"

namespace g3n::media {
namespace {

constexpr std::uint32_t kOggPolynomial = 0x04C11DB7;

std::array<std::uint32_t, 256> make_ogg_table() {
  std::array<std::uint32_t, 256> table;
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t value = i << 24;
    for (int bit = 0; bit < 8; ++bit) value = value << 1 ^ (value & 0x80000000 ? kOggPolynomial : 0);
    table[i] = value;
  }
  return table;
}

// The checksum of a page, its own field (bytes 22..25) taken as zero.
std::uint32_t ogg_checksum(Bytes page) {
  static const std::array<std::uint32_t, 256> table = make_ogg_table();
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < page.size(); ++i) {
    const std::uint8_t byte = i >= 22 && i < 26 ? 0 : page[i];
    sum = sum << 8 ^ table[(sum >> 24 ^ byte) & 0xFF];
  }
  return sum;
}

std::string at_byte(std::size_t at) { return " at byte " + std::to_string(at) + " "; }

bool is_known_box(Bytes file, std::size_t at) {
  for (const std::string_view type : {"mdat", "moof", "moov", "mfra", "sidx", "styp", "free", "skip", "udta", "meta", "wide", "uuid", "ftyp"}) {
    if (has_text(file, at, type)) return true;
  }
  return false;
}

// An EBML number: the zeros in front of the first set bit say how many bytes follow. All ones: unknown.
struct EbmlNumber {
  std::uint64_t value = 0;
  std::size_t bytes = 0;  // 0: not a number
  bool unknown = false;
};

EbmlNumber ebml_number(Bytes file, std::size_t at, bool keep_marker) {
  ByteReader read(file, Endian::kBig);
  const std::uint8_t first = read.u8(at);
  std::size_t bytes = 1;
  while (bytes <= 8 && !(first & (0x100 >> bytes))) ++bytes;
  if (read.failed() || bytes > 8) return {};
  std::uint64_t value = keep_marker ? first : first & (0xFF >> bytes);
  bool ones = (first | (0xFF << (8 - bytes) & 0xFF)) == 0xFF;
  for (std::size_t i = 1; i < bytes; ++i) {
    const std::uint8_t byte = read.u8(at + i);
    ones = ones && byte == 0xFF;
    value = value << 8 | byte;
  }
  return read.failed() ? EbmlNumber{} : EbmlNumber{value, bytes, ones};
}

}  // namespace

void check_ogg(Bytes file, const std::string& name) {
  ByteReader read(file, Endian::kLittle);
  bool ended = false;  // some stream has had its last page
  for (std::size_t at = 0; at < file.size();) {
    if (!has_text(file, at, "OggS")) {
      if (ended) return;  // bytes behind the end
      throw_bad_sound(name, "no Ogg page" + at_byte(at) + "of " + std::to_string(file.size()));
    }
    const std::size_t segments = read.u8(at + 26);
    std::size_t bytes = 27 + segments;
    for (std::size_t i = 0; i < segments; ++i) bytes += read.u8(at + 27 + i);
    if (read.failed() || bytes > file.size() - at) throw_bad_sound(name, "the Ogg page" + at_byte(at) + "goes beyond the end of the file");
    if (ogg_checksum(file.subspan(at, bytes)) != read.u32(at + 22)) throw_bad_sound(name, "the Ogg page" + at_byte(at) + "has a wrong checksum");
    ended = ended || (read.u8(at + 5) & 4);
    at += bytes;
  }
}

void check_mp4(Bytes file, const std::string& name) {
  ByteReader read(file, Endian::kBig);
  bool has_index = false, has_data = false;
  for (std::size_t at = 0; at < file.size();) {
    std::uint64_t bytes = read.u32(at);
    if (bytes == 1) bytes = read.u64(at + 8);
    if (bytes == 0) bytes = file.size() - at;
    const bool whole = !read.failed() && bytes >= 8 && bytes <= file.size() - at;
    if (!whole) {
      if (has_index && has_data && !is_known_box(file, at + 4)) return;  // bytes behind the end
      throw_bad_sound(name, "the MP4 box" + at_byte(at) + "goes beyond the end of the file");
    }
    has_index = has_index || has_text(file, at + 4, "moov");
    has_data = has_data || has_text(file, at + 4, "mdat");
    at += static_cast<std::size_t>(bytes);
  }
  if (!has_index) throw_bad_sound(name, "an MP4 file without its index (moov)");
}

void check_matroska(Bytes file, const std::string& name) {
  constexpr std::uint64_t kSegment = 0x18538067;
  for (std::size_t at = 0; at < file.size();) {
    const EbmlNumber id = ebml_number(file, at, true);
    const EbmlNumber size = ebml_number(file, at + id.bytes, false);
    if (!id.bytes || !size.bytes) break;
    const std::size_t start = at + id.bytes + size.bytes;
    const bool whole = size.unknown || size.value <= file.size() - start;
    if (!whole) throw_bad_sound(name, "the Matroska element" + at_byte(at) + "goes beyond the end of the file");
    if (id.value == kSegment) return;
    at = start + static_cast<std::size_t>(size.value);
  }
  throw_bad_sound(name, "a Matroska file without a segment");
}

void check_adts(Bytes file, const std::string& name) {
  constexpr std::size_t kHeaderBytes = 7;
  ByteReader read(file, Endian::kBig);
  std::size_t at = 0;
  while (at + kHeaderBytes <= file.size() && (read.u16(at) & 0xFFF6) == 0xFFF0) {
    const std::size_t bytes = (read.u32(at + 3) >> 13) & 0x1FFF;
    if (bytes < kHeaderBytes) throw_bad_sound(name, "the AAC frame" + at_byte(at) + "is too short");
    if (bytes > file.size() - at) throw_bad_sound(name, "the AAC frame" + at_byte(at) + "goes beyond the end of the file");
    at += bytes;
  }
}

}  // namespace g3n::media
