// Is a container complete? Ogg pages carry checksums, MP4 boxes, Matroska segments, chunks, MP3 and AAC frames carry
// sizes; only those are read here.
#include <array>
#include <optional>
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
  for (const std::string_view type :
       {"mdat", "moof", "moov", "mfra", "sidx", "styp", "free", "skip", "udta", "meta", "wide", "uuid", "ftyp"}) {
    if (has_text(file, at, type)) return true;
  }
  return false;
}

// The size of an MPEG sound frame from its four header bytes; 0 when it is none, or of free format.
std::size_t mp3_frame_bytes(Bytes header) {
  static constexpr int kKilobits[5][15] = {
      {0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448},  // MPEG 1, layer I
      {0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384},     // layer II
      {0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320},      // layer III
      {0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256},     // MPEG 2, layer I
      {0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160}};         // layers II and III
  static constexpr int kRates[3] = {44100, 48000, 32000};
  if (header.size() < 4 || header[0] != 0xFF || (header[1] & 0xE0) != 0xE0) return 0;
  const int version = header[1] >> 3 & 3,
            layer = 4 - (header[1] >> 1 & 3);  // version 3: MPEG 1, 2: MPEG 2, 0: MPEG 2.5
  const int bitrate = header[2] >> 4, rate = header[2] >> 2 & 3;
  if (version == 1 || layer == 4 || bitrate == 15 || rate == 3) return 0;
  const bool mpeg1 = version == 3, padded = header[2] & 2;
  const int bits = 1000 * kKilobits[mpeg1 ? layer - 1 : layer == 1 ? 3 : 4][bitrate];
  const int hz = kRates[rate] / (mpeg1 ? 1 : version == 2 ? 2 : 4);
  if (bits == 0) return 0;
  if (layer == 1) return static_cast<std::size_t>(12 * bits / hz + padded) * 4;
  const int slots = layer == 3 && !mpeg1 ? 72 : 144;
  return static_cast<std::size_t>(slots * bits / hz + padded);
}

// Where the sound begins: behind a leading ID3 tag, whose size is 4 x 7 bits.
std::size_t after_id3(Bytes file) {
  if (!has_text(file, 0, "ID3") || file.size() < 10) return 0;
  return 10 + (std::size_t{file[6] & 127u} << 21 | (file[7] & 127u) << 14 | (file[8] & 127u) << 7 | (file[9] & 127u));
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

void check_ogg(Bytes file, const SoundName& sound) {
  const std::string& name = sound.text;
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
    if (read.failed() || bytes > file.size() - at)
      throw_bad_sound(name, "the Ogg page" + at_byte(at) + "goes beyond the end of the file");
    if (ogg_checksum(file.subspan(at, bytes)) != read.u32(at + 22))
      throw_bad_sound(name, "the Ogg page" + at_byte(at) + "has a wrong checksum");
    ended = ended || (read.u8(at + 5) & 4);
    at += bytes;
  }
  if (!ended) sound.log.warn(name + ": the last page of the Ogg file is not there: it may be cut");
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

namespace {

// Frames are followed one to the next for as long as they follow each other; what comes then (tags, damage) is the
// decoder's matter. frame_bytes(at): the size of the frame there, 0 when there is none.
template <typename FrameBytes>
Bytes whole_frames(Bytes file, const SoundName& name, const char* kind, FrameBytes frame_bytes) {
  const std::size_t start = after_id3(file);
  std::size_t at = start;
  while (const std::size_t bytes = frame_bytes(at)) {
    if (bytes <= file.size() - at) {
      at += bytes;
      continue;
    }
    if (at == start)
      throw_bad_sound(name.text,
                      std::string("the ") + kind + " frame" + at_byte(at) + "goes beyond the end of the file");
    name.log.warn(name.text + ": the file is cut inside its last " + kind + " frame (" +
                  std::to_string(file.size() - at) + " of " + std::to_string(bytes) + " bytes): what is before counts");
    return file.first(at);
  }
  return file;
}

}  // namespace

Bytes whole_mp3_frames(Bytes file, const SoundName& name) {
  return whole_frames(file, name, "MP3", [&](std::size_t at) { return mp3_frame_bytes(slice(file, at, 4)); });
}

Bytes whole_adts_frames(Bytes file, const SoundName& name) {
  return whole_frames(file, name, "AAC", [&](std::size_t at) -> std::size_t {
    constexpr std::size_t kHeaderBytes = 7;
    ByteReader read(file, Endian::kBig);
    if ((read.u16(at) & 0xFFF6) != 0xFFF0) return 0;
    const std::size_t bytes = (read.u32(at + 3) >> 13) & 0x1FFF;
    if (read.failed()) return kHeaderBytes;  // the file ends inside the header
    if (bytes < kHeaderBytes) throw_bad_sound(name.text, "the AAC frame" + at_byte(at) + "is too short");
    return bytes;
  });
}

namespace {

// The size field of the chunk `id` in a row of chunks, and where its data starts.
struct Chunk {
  std::uint64_t data, bytes;
};

// Chunks from `at` on: an id, a size of size_bytes (without both; with_header: with both), data padded to `align`.
struct ChunkLayout {
  std::size_t id_bytes, size_bytes, align;
  Endian endian;
  bool with_header;
};

std::optional<Chunk> find_chunk(Bytes file, std::size_t at, const ChunkLayout& layout, std::string_view id) {
  const std::size_t header = layout.id_bytes + layout.size_bytes;
  ByteReader read(file, layout.endian);
  for (;;) {
    const std::size_t size_at = at + layout.id_bytes;
    std::uint64_t bytes = layout.size_bytes == 8 ? read.u64(size_at) : read.u32(size_at);
    if (read.failed()) return {};
    if (layout.with_header) {
      if (bytes < header) return {};
      bytes -= header;
    }
    if (has_text(file, at, id)) return Chunk{at + header, bytes};
    if (bytes > file.size() - at - header) return {};
    at += header + static_cast<std::size_t>((bytes + layout.align - 1) / layout.align * layout.align);
    if (at > file.size()) return {};
  }
}

// Where the samples end as the file says; none where it does not say.
std::optional<std::uint64_t> announced_end(Bytes file, Format format) {
  constexpr ChunkLayout kRiff{4, 4, 2, Endian::kLittle, false}, kIff{4, 4, 2, Endian::kBig, false},
      kCaf{4, 8, 1, Endian::kBig, false}, kW64{16, 8, 8, Endian::kLittle, true};
  ByteReader big(file, Endian::kBig), little(file, Endian::kLittle);
  std::optional<Chunk> data;
  switch (format) {
    case Format::kWav:
      if (has_text(file, 0, "RIFF")) data = find_chunk(file, 12, kRiff, "data");
      break;
    case Format::kW64: data = find_chunk(file, 40, kW64, "data"); break;
    case Format::kAiff: data = find_chunk(file, 12, kIff, "SSND"); break;
    case Format::kCaf: data = find_chunk(file, 8, kCaf, "data"); break;
    case Format::kAu: data = Chunk{big.u32(4), big.u32(8)}; break;
    case Format::kAvi: data = Chunk{8, little.u32(4)}; break;
    default: break;
  }
  // Programs that write into a pipe leave 0 or all ones.
  if (!data || data->bytes == 0 || data->bytes >= UINT64_MAX / 2 ||
      (format != Format::kW64 && format != Format::kCaf && data->bytes >= 0xFFFFFF00))
    return {};
  return data->data + data->bytes;
}

}  // namespace

bool warn_if_cut(Bytes file, Format format, const SoundName& name) {
  const std::optional<std::uint64_t> end = announced_end(file, format);
  if (!end || *end <= file.size()) return false;
  name.log.warn(name.text + ": the file is cut: its sound ends at byte " + std::to_string(*end) +
                " as it says, the file at byte " + std::to_string(file.size()) + ": what is there counts");
  return true;
}

}  // namespace g3n::media
