// WAV (RIFF, RF64, BW64) with PCM or float samples. Our own, because headers lie: streaming writers leave sizes of 0 or
// 2^32 - 1, editors forget to update them. The samples are the data chunk, or what there is of it; block and byte rates
// are not believed.
#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "media/audio_decoders.h"

namespace g3n::media {
namespace {

constexpr std::uint16_t kPcm = 1, kFloat = 3, kExtensible = 0xFFFE;
constexpr std::size_t kFramesPerBlock = 4096;
constexpr std::uint32_t kUnknownSize = 0xFFFFFFFF;

struct WavFormat {
  std::uint16_t tag = 0, channels = 0, bits = 0;
  std::uint32_t rate_hz = 0;
  std::size_t sample_bytes = 0;  // in the file: a 24-bit sample may fill 4 bytes
};

WavFormat read_format(Bytes chunk) {
  ByteReader read(chunk, Endian::kLittle);
  WavFormat format{read.u16(0), read.u16(2), read.u16(14), read.u32(4), 0};
  const std::size_t block = read.u16(12);
  if (format.tag == kExtensible && chunk.size() >= 26) format.tag = read.u16(24);
  format.sample_bytes = (format.bits + 7u) / 8;
  if (format.tag == kPcm && format.channels > 0 && block % format.channels == 0) {
    const std::size_t container = block / format.channels;
    if (container > format.sample_bytes && container <= 4) format.sample_bytes = container;
  }
  return format;
}

// Whole numbers are little-endian and left-justified, so the top bytes decide; 8-bit samples are unsigned.
float read_sample(const std::uint8_t* at, const WavFormat& format) {
  if (format.tag == kFloat) {
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < format.sample_bytes; ++i) bits |= std::uint64_t{at[i]} << (8 * i);
    return format.sample_bytes == 4 ? std::bit_cast<float>(static_cast<std::uint32_t>(bits))
                                    : static_cast<float>(std::bit_cast<double>(bits));
  }
  if (format.sample_bytes == 1) return (static_cast<float>(at[0]) - 128.0f) / 128.0f;
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < format.sample_bytes; ++i)
    bits |= std::uint32_t{at[i]} << (8 * (4 - format.sample_bytes + i));
  return static_cast<float>(static_cast<double>(static_cast<std::int32_t>(bits)) / 2147483648.0);
}

bool readable(const WavFormat& format) {
  if (format.tag == kPcm) return format.sample_bytes >= 1 && format.sample_bytes <= 4;
  return format.tag == kFloat && (format.sample_bytes == 4 || format.sample_bytes == 8);
}

void collect(Bytes data, const WavFormat& format, SampleCollector* out) {
  const std::size_t frame_bytes = format.sample_bytes * format.channels;
  const std::size_t frames = data.size() / frame_bytes;
  out->expect_seconds(static_cast<double>(frames) / format.rate_hz);
  std::vector<float> mono;
  for (std::size_t done = 0; done < frames; done += mono.size()) {
    mono.resize(std::min(kFramesPerBlock, frames - done));
    const std::uint8_t* at = data.data() + done * frame_bytes;
    for (float& sample : mono) {
      double sum = 0;
      for (int c = 0; c < format.channels; ++c, at += format.sample_bytes) sum += read_sample(at, format);
      sample = static_cast<float>(sum / format.channels);
    }
    out->push(mono);
  }
}

// What the data chunk holds. A size of 0 in a file whose outer size ends before the data is that of a streaming writer:
// all that follows is sound.
Bytes data_of_chunk(Bytes file, std::size_t at, std::uint64_t size) {
  const std::uint64_t riff_end = std::uint64_t{8} + ByteReader(file, Endian::kLittle).u32(4);
  const bool unknown = size == 0 && riff_end <= at;
  return slice(file, at, unknown ? file.size() : static_cast<std::size_t>(size));
}

}  // namespace

bool decode_wav(Bytes file, const std::string& name, SampleCollector* out) {
  ByteReader read(file, Endian::kLittle);
  WavFormat format;
  std::uint64_t long_data_size = kUnknownSize;  // from the ds64 chunk of RF64
  for (std::size_t at = 12;;) {
    const std::uint64_t size = read.u32(at + 4);
    if (read.failed()) throw_bad_sound(name, format.channels ? "no data chunk" : "no fmt chunk");
    const Bytes chunk = slice(file, at + 8, static_cast<std::size_t>(size));
    if (has_text(file, at, "ds64")) long_data_size = ByteReader(chunk, Endian::kLittle).u64(8);
    if (has_text(file, at, "fmt ")) {
      if (chunk.size() < 16) throw_bad_sound(name, "a fmt chunk of " + std::to_string(chunk.size()) + " bytes");
      format = read_format(chunk);
      if (format.channels == 0 || format.rate_hz == 0) throw_bad_sound(name, "no channels or a sample rate of 0");
      const bool plain = format.tag == kPcm || format.tag == kFloat;
      if (plain && !readable(format)) throw_bad_sound(name, "samples of " + std::to_string(format.bits) + " bits");
      if (!plain) return false;
    } else if (has_text(file, at, "data")) {
      if (format.channels == 0) throw_bad_sound(name, "no fmt chunk before the data");
      out->set_rate(static_cast<int>(std::min<std::uint32_t>(format.rate_hz, INT32_MAX)));
      collect(data_of_chunk(file, at + 8, size == kUnknownSize ? long_data_size : size), format, out);
      return true;
    }
    at += 8 + static_cast<std::size_t>(size) + (size & 1);
  }
}

}  // namespace g3n::media
