// decode_audio: recognise, check that the container is complete, decode, mix, resample.
#include "media/audio.h"

#include <algorithm>
#include <new>

#include "g3n/error.h"
#include "media/audio_decoders.h"
#include "media/sniff.h"

namespace g3n {
namespace media {

void throw_bad_sound(const std::string& name, const std::string& why) {
  throw Error(ErrorCode::kBadFile, name + ": the sound is cut or corrupt: " + why);
}

namespace {

struct Checked {
  Bytes file;  // the part that is to be decoded
  bool is_cut = false;
};

Checked check_complete(Bytes file, Format format, const SoundName& name) {
  switch (format) {
    case Format::kOgg: check_ogg(file, name); return {file};
    case Format::kMp4: check_mp4(file, name.text); return {file};
    case Format::kMatroska: check_matroska(file, name.text); return {file};
    case Format::kMp3: return {whole_mp3_frames(file, name)};
    case Format::kAdts: return {whole_adts_frames(file, name)};
    default: return {file, warn_if_cut(file, format, name)};
  }
}

[[noreturn]] void throw_not_sound(const FormatInfo& found, const std::string& name) {
  if (found.format == Format::kEmpty) throw Error(ErrorCode::kBadFile, name + ": expected sound, found an empty file");
  if (found.kind == MediaKind::kSound) {
    throw Error(ErrorCode::kUnsupported,
                name + ": looks like " + found.name + ", which g3n cannot read; convert it to WAV or FLAC");
  }
  throw Error(ErrorCode::kBadFile, name + ": expected sound, found what looks like " + found.name);
}

}  // namespace
}  // namespace media

Samples decode_audio(std::span<const std::uint8_t> bytes, const std::string& name, const DecodeLimits& limits,
                     const Log& log) try {
  using namespace media;
  const FormatInfo& found = sniff(bytes);
  const bool guess = found.format == Format::kUnknown;
  if (!guess && (found.kind != MediaKind::kSound || !found.readable)) throw_not_sound(found, name);
  const auto [whole, is_cut] = check_complete(bytes, found.format, {name, log});
  SampleCollector collector(name, limits);
  if (found.format != Format::kWav || !decode_wav(whole, name, &collector))
    decode_by_ffmpeg(whole, {found.demuxer, is_cut}, name, &collector);
  return {collector.finish()};
} catch (const std::bad_alloc&) {
  throw Error(ErrorCode::kOutOfMemory, name + ": not enough memory to decode the sound");
}

Samples decode_audio(std::span<const std::uint8_t> bytes, const std::string& name, double max_seconds,
                     double max_decode_seconds) {
  return decode_audio(bytes, name, DecodeLimits{.sound_seconds = max_seconds, .decode_seconds = max_decode_seconds},
                      Log());
}

std::vector<Samples> split_clips(Samples sound, std::int64_t clip_samples) {
  constexpr std::int64_t kLeastRest = kSampleRateHz / 10;
  const auto samples = static_cast<std::int64_t>(sound.pcm.size());
  std::vector<Samples> clips;
  if (samples <= clip_samples) {
    clips.push_back(std::move(sound));
    return clips;
  }
  for (std::int64_t from = 0; from < samples; from += clip_samples) {
    const std::int64_t to = std::min(from + clip_samples, samples);
    if (from > 0 && to - from < kLeastRest) break;
    clips.push_back({{sound.pcm.begin() + from, sound.pcm.begin() + to}});
  }
  return clips;
}

}  // namespace g3n
