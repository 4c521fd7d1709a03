// decode_audio: the goldens of transformers, the three tones of tools/make_media_samples.py through every codec, lying
// WAV headers, and errors.
#include "media/audio.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

extern "C" {
#include <libavutil/log.h>
}

#include "g3n/error.h"
#include "media/byte_reader.h"
#include "media/ffmpeg_library.h"
#include "media/image.h"
#include "support/media_files.h"

namespace g3n {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::sample_media;
using Bytes = std::vector<std::uint8_t>;

std::string sound_error(const Bytes& file, double max_seconds = 3600) {
  try {
    decode_audio(file, "sound", max_seconds);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

void append(Bytes* out, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out->push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}
void append(Bytes* out, std::string_view text) { out->insert(out->end(), text.begin(), text.end()); }

// A mono WAV; sizes as given, so that they may lie.
Bytes wav(const Bytes& data, int tag, int bits, std::uint32_t rate, std::uint32_t riff_bytes,
          std::uint32_t data_bytes) {
  Bytes out;
  append(&out, "RIFF");
  append(&out, riff_bytes, 4);
  append(&out, "WAVEfmt ");
  append(&out, 16, 4);
  append(&out, static_cast<std::uint64_t>(tag), 2);
  append(&out, 1, 2);
  append(&out, rate, 4);
  append(&out, 0, 4);  // bytes per second: not believed
  append(&out, static_cast<std::uint64_t>(bits / 8), 2);
  append(&out, static_cast<std::uint64_t>(bits), 2);
  append(&out, "data");
  append(&out, data_bytes, 4);
  out.insert(out.end(), data.begin(), data.end());
  return out;
}

Bytes ramp16(int samples) {
  Bytes data;
  for (int i = 0; i < samples; ++i) append(&data, static_cast<std::uint64_t>(i * 7), 2);
  return data;
}

TEST(DecodeAudio, GoldensAsTransformers) {
  const auto folder = testing::golden_media_folder();
  int compared = 0;
  const auto manifest = testing::read_json(folder / "manifest.json");
  for (const auto& [key, want] : manifest["audio"].items()) {
    if (!key.ends_with(".pcm")) continue;
    SCOPED_TRACE(key);
    const std::string name = key.substr(0, key.size() - 4);
    const Samples got = decode_audio(testing::read_bytes(folder / name), name);
    ASSERT_EQ(got.pcm.size(), want["shape"][0]);
    const double error = testing::relative_error(testing::every(got.pcm, want["stride"]),
                                                 testing::stored_values(folder / "audio.safetensors", key));
    EXPECT_LE(error, 1e-6);  // the manifest allows 5e-3 for resampled files; this is the same resampler
    ++compared;
  }
  EXPECT_EQ(compared, 6);
}

double tones(double t) {
  const double turn = 2 * std::numbers::pi * t;
  return 0.5 * (0.3 * std::sin(440 * turn) + 0.1 * std::sin(1300 * turn) + 0.3 * std::sin(620 * turn));
}

struct Codec {
  const char* file;
  double error;         // relative rms
  std::size_t samples;  // at 16 kHz, 0: not exact
  double delay = 0;     // seconds that the file does not tell the decoder to skip
};

class Tones : public ::testing::TestWithParam<Codec> {};

TEST_P(Tones, ThroughTheCodec) {
  const Codec& codec = GetParam();
  const Samples got = decode_audio(sample_media(codec.file), codec.file);
  if (codec.samples > 0) {
    EXPECT_EQ(got.pcm.size(), codec.samples);
  }
  std::vector<float> middle, want;
  for (std::size_t i = 2800; i < 4700; ++i) {
    middle.push_back(got.pcm.at(i));
    want.push_back(static_cast<float>(tones(static_cast<double>(i) / kSampleRateHz - codec.delay)));
  }
  EXPECT_LE(testing::relative_error(middle, want), codec.error);
}

INSTANTIATE_TEST_SUITE_P(Media, Tones,
                         ::testing::Values(Codec{"u8.wav", 0.02, 6400}, Codec{"s32.wav", 1e-4, 6400},
                                           Codec{"f64.wav", 1e-4, 4800}, Codec{"s24_extensible.wav", 1e-4, 6400},
                                           Codec{"stereo_11k.wav", 2e-4, 6400}, Codec{"mulaw.wav", 0.03, 6400},
                                           Codec{"adpcm.wav", 0.03, 0}, Codec{"aiff.aiff", 3e-4, 6400},
                                           Codec{"flac24.flac", 1e-4, 6400}, Codec{"flac.ogg", 1e-3, 6400},
                                           Codec{"alac.m4a", 3e-4, 6400}, Codec{"stereo.mp3", 0.06, 6400},
                                           Codec{"no_xing_8k.mp3", 0.06, 0, 1105.0 / 8000},
                                           Codec{"vorbis.ogg", 0.05, 6400}, Codec{"opus.ogg", 0.1, 6400},
                                           Codec{"aac.m4a", 0.2, 0}, Codec{"aac.aac", 0.2, 0, 1024.0 / 44100},
                                           Codec{"video.mp4", 0.2, 0}, Codec{"video.webm", 0.1, 0}),
                         [](const auto& codec) {
                           std::string name = codec.param.file;
                           for (char& c : name) c = c == '.' ? '_' : c;
                           return name;
                         });

TEST(FFmpegLibrary, AMissingOneIsNamed) {
  try {
    media::open_library("avnothing", 7);
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    EXPECT_THAT(error.what(), AllOf(HasSubstr("libavnothing.so.7"), HasSubstr("libavnothing7")));
  }
}

TEST(DecodeAudio, WavSizesMayLie) {
  const Bytes data = ramp16(3000);
  const auto want = decode_audio(wav(data, 1, 16, 16000, 36 + 6000, 6000), "honest").pcm;
  ASSERT_EQ(want.size(), 3000u);
  EXPECT_EQ(want[100], 700.0f / 32768.0f);
  EXPECT_EQ(decode_audio(wav(data, 1, 16, 16000, 0xFFFFFFFF, 0xFFFFFFFF), "streamed").pcm, want);
  EXPECT_EQ(decode_audio(wav(data, 1, 16, 16000, 0, 0), "zeros").pcm, want);
  EXPECT_EQ(decode_audio(wav(data, 1, 16, 16000, 36, 0), "unfinished").pcm, want);
  EXPECT_EQ(decode_audio(wav(data, 1, 16, 16000, 77, 7000), "too large").pcm, want);
  Bytes more = wav(data, 1, 16, 16000, 36 + 6000, 6000);
  append(&more, "junk behind the end");
  EXPECT_EQ(decode_audio(more, "more").pcm, want);
  Bytes odd = wav(data, 1, 16, 16000, 36 + 6000, 6000);
  odd.pop_back();  // half a sample is left out
  EXPECT_EQ(decode_audio(odd, "odd").pcm.size(), 2999u);
}

TEST(DecodeAudio, ResampledLengthIsRoundedUp) {
  for (const std::uint32_t rate : {8000u, 11025u, 44100u, 48000u, 96000u}) {
    const int n = 3001;
    EXPECT_EQ(decode_audio(wav(ramp16(n), 1, 16, rate, 0, 0), "ramp").pcm.size(), (n * 16000u + rate - 1) / rate)
        << rate;
  }
}

TEST(DecodeAudio, SamplesThatAreNoNumbers) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    Bytes data;
    for (int i = 0; i < 1000; ++i) append(&data, std::bit_cast<std::uint32_t>(i == 77 ? bad : 0.25f), 4);
    EXPECT_THAT(sound_error(wav(data, 3, 32, 16000, 0, 4000)), HasSubstr("at sample 77"));
  }
}

TEST(DecodeAudio, WhatIsNotSoundIsNamed) {
  EXPECT_THAT(sound_error({}), HasSubstr("expected sound, found an empty file"));
  EXPECT_THAT(sound_error(wav({}, 1, 16, 16000, 36, 0)), HasSubstr("without a single sample"));
  EXPECT_THAT(sound_error(sample_media("silent_video.mp4")),
              HasSubstr("expected a sound track that g3n can decode, found only video (mpeg4)"));
  EXPECT_THAT(sound_error(sample_media("rgb16.png")), HasSubstr("found what looks like a PNG image"));
  const std::string_view amr = "#!AMR\n123456";
  EXPECT_EQ(sound_error({amr.begin(), amr.end()}),
            "sound: looks like AMR, which g3n cannot read; convert it to WAV or FLAC");
  const std::string_view text = "this is text, and there is quite a lot of it";
  EXPECT_THAT(sound_error({text.begin(), text.end()}), HasSubstr("a text file"));
  EXPECT_THAT(sound_error(Bytes(3000, 0)), HasSubstr("unknown format"));
  EXPECT_THAT(sound_error(wav(ramp16(100), 1, 72, 16000, 0, 0)), HasSubstr("samples of 72 bits"));
  EXPECT_THAT(sound_error(wav(ramp16(100), 1, 16, 16, 0, 0)), HasSubstr("expected a sample rate"));
}

TEST(DecodeAudio, ALimitOfLength) {
  EXPECT_EQ(sound_error(wav(ramp16(16001), 1, 16, 16000, 0, 0), 1.0),
            "sound: the sound is too long: expected at most 1 s, found 1.0 s");
  EXPECT_EQ(sound_error(wav(ramp16(16000), 1, 16, 16000, 0, 0), 1.0), "no error");
  for (const char* name : {"stereo.mp3", "vorbis.ogg", "aac.m4a", "aac.aac", "flac24.flac", "video.webm"}) {
    EXPECT_THAT(sound_error(sample_media(name), 0.25), HasSubstr("too long: expected at most 0.25 s")) << name;
  }
}

// A mono W64 of 16 bits: RIFF with GUIDs for names and sizes of 8 bytes.
Bytes w64(const Bytes& data, std::uint64_t data_bytes) {
  const std::string_view tail("\xF3\xAC\xD3\x11\x8C\xD1\x00\xC0\x4F\x8E\xDB\x8A", 12);
  const auto name = [&](Bytes* out, std::string_view id) { append(out, id), append(out, tail); };
  Bytes out;
  append(&out, std::string_view("riff\x2E\x91\xCF\x11\xA5\xD6\x28\xDB\x04\xC1\x00\x00", 16));
  append(&out, 40 + 40 + 24 + data_bytes, 8);
  name(&out, "wave");
  name(&out, "fmt ");
  append(&out, 24 + 16, 8);
  for (const auto& [value, bytes] : {std::pair{1, 2}, {1, 2}, {16000, 4}, {32000, 4}, {2, 2}, {16, 2}})
    append(&out, static_cast<std::uint64_t>(value), bytes);
  name(&out, "data");
  append(&out, 24 + data_bytes, 8);
  out.insert(out.end(), data.begin(), data.end());
  return out;
}

struct Heard {
  std::vector<float> pcm;
  std::vector<std::string> warnings;
};
Heard hear(const Bytes& file) {
  Heard heard;
  const Log log([&](const std::string& text) { heard.warnings.push_back(text); });
  heard.pcm = decode_audio(file, "sound", DecodeLimits{}, log).pcm;
  return heard;
}
Bytes first(const Bytes& file, std::size_t bytes) {
  return {file.begin(), file.begin() + static_cast<std::ptrdiff_t>(bytes)};
}

TEST(DecodeAudio, TimeHasALimitInEveryDecoder) {
  const Bytes data = ramp16(16000 * 60);
  for (const Bytes& file : {wav(data, 1, 16, 16000, 0, 0), sample_media("stereo.mp3"), sample_media("aac.m4a")}) try {
      decode_audio(file, "sound", 3600, 1e-9);
      ADD_FAILURE() << "expected an error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
      EXPECT_THAT(error.what(), HasSubstr("sound: it takes too long to decode: expected at most 1e-09 s"));
    }
  EXPECT_EQ(decode_audio(sample_media("u8.wav"), "sound", 3600, 60).pcm,
            decode_audio(sample_media("u8.wav"), "sound").pcm);
}

TEST(DecodeAudio, W64) {
  const Bytes data = ramp16(3000);
  const Heard heard = hear(w64(data, data.size()));
  EXPECT_EQ(heard.pcm, decode_audio(wav(data, 1, 16, 16000, 36 + 6000, 6000), "wav").pcm);
  EXPECT_THAT(heard.warnings, IsEmpty());
}

// Streams that just stop: what is there counts, and is told.
TEST(DecodeAudio, AStreamCutInsideItsLastFrameIsHeardUpToIt) {
  for (const char* name : {"no_xing_8k.mp3", "aac.aac", "stereo.mp3"}) {
    SCOPED_TRACE(name);
    const Bytes whole = sample_media(name);
    const Heard all = hear(whole), cut = hear(first(whole, whole.size() - 20));
    EXPECT_THAT(all.warnings, IsEmpty());
    ASSERT_EQ(cut.warnings.size(), 1u);
    EXPECT_THAT(cut.warnings[0], HasSubstr("sound: the file is cut inside its last"));
    EXPECT_LT(cut.pcm.size(), all.pcm.size());
    EXPECT_GT(cut.pcm.size() + 8000, all.pcm.size());
    const std::size_t same = cut.pcm.size() - 200;  // the resampler looks ahead
    EXPECT_LE(testing::relative_error(
                  std::vector<float>(cut.pcm.begin(), cut.pcm.begin() + static_cast<std::ptrdiff_t>(same)),
                  std::vector<float>(all.pcm.begin(), all.pcm.begin() + static_cast<std::ptrdiff_t>(same))),
              1e-6);
  }
  const Bytes aac = sample_media("aac.aac");
  for (const double part : {0.4, 0.5, 0.95})  // nothing in such a stream says how long it should be
    EXPECT_EQ(hear(first(aac, static_cast<std::size_t>(part * static_cast<double>(aac.size())))).warnings.size(), 1u);
}

TEST(DecodeAudio, ChunksCutBeforeTheEndThatTheyAnnounceAreHeardAndTold) {
  const Bytes data = ramp16(3000);
  Bytes au;
  append(&au, ".snd");
  for (const std::uint32_t value : {24u, 6000u, 3u, 16000u, 1u}) append(&au, __builtin_bswap32(value), 4);
  au.insert(au.end(), data.begin(), data.end());
  const std::pair<const char*, Bytes> files[] = {{"wav", wav(data, 1, 16, 16000, 6036, 6000)},
                                                 {"w64", w64(data, 6000)},
                                                 {"au", au},
                                                 {"aiff", sample_media("aiff.aiff")},
                                                 {"mulaw", sample_media("mulaw.wav")}};
  for (const auto& [name, whole] : files) {
    SCOPED_TRACE(name);
    const Heard all = hear(whole), cut = hear(first(whole, whole.size() * 3 / 4));
    EXPECT_THAT(all.warnings, IsEmpty());
    ASSERT_EQ(cut.warnings.size(), 1u);
    EXPECT_THAT(cut.warnings[0], HasSubstr("sound: the file is cut: its sound ends at byte"));
    EXPECT_LT(cut.pcm.size(), all.pcm.size());
    EXPECT_GT(cut.pcm.size(), all.pcm.size() * 7 / 10);
  }
  EXPECT_THAT(hear(wav(data, 1, 16, 16000, 0xFFFFFFFF, 0xFFFFFFFF)).warnings, IsEmpty()) << "written into a pipe";
}

TEST(DecodeAudio, AnOggFileWithoutItsLastPageIsTold) {
  Bytes file = sample_media("vorbis.ogg");
  EXPECT_THAT(hear(file).warnings, IsEmpty());
  std::size_t last = 0;
  for (std::size_t i = 0; i + 4 < file.size(); ++i)
    if (media::has_text(file, i, "OggS")) last = i;
  ASSERT_EQ(file[last + 5], 4) << "the page that ends the stream";
  file[last + 5] = 0;  // as if more were to come, with a right checksum
  std::uint32_t sum = 0;
  for (std::size_t i = last; i < file.size(); ++i) {
    sum ^= static_cast<std::uint32_t>(i - last >= 22 && i - last < 26 ? 0 : file[i]) << 24;
    for (int bit = 0; bit < 8; ++bit) sum = sum << 1 ^ (sum & 0x80000000 ? 0x04C11DB7 : 0);
  }
  for (std::size_t i = 0; i < 4; ++i) file[last + 22 + i] = static_cast<std::uint8_t>(sum >> (8 * i));
  const Heard cut = hear(file);
  ASSERT_EQ(cut.warnings.size(), 1u);
  EXPECT_THAT(cut.warnings[0], HasSubstr("the last page"));
}

TEST(DecodeAudio, TheLogLevelOfTheProcessStaysAsItIs) {
  const int before = av_log_get_level();
  for (const int level : {AV_LOG_INFO, AV_LOG_QUIET}) {
    av_log_set_level(level);
    for (const char* name : {"stereo.mp3", "aac.m4a"}) decode_audio(sample_media(name), name);
    decode_image(sample_media("deflate.tif"), "picture");
    decode_image(sample_media("palette.bmp"), "picture");
    EXPECT_EQ(av_log_get_level(), level);
  }
  av_log_set_level(before);
}

TEST(DecodeAudio, CutFilesAreErrors) {
  for (const char* name : {"stereo.mp3", "vorbis.ogg", "opus.ogg", "flac.ogg", "aac.m4a", "alac.m4a", "flac24.flac",
                           "video.mp4", "video.webm"}) {
    const Bytes whole = sample_media(name);
    for (const double part : {0.05, 0.5, 0.75, 0.95}) {
      if (part > 0.9 && name == std::string_view("stereo.mp3")) continue;  // what its header says is nearly there
      SCOPED_TRACE(std::string(name) + " " + std::to_string(part));
      const auto size = static_cast<std::ptrdiff_t>(part * static_cast<double>(whole.size()));
      EXPECT_THROW(decode_audio(Bytes(whole.begin(), whole.begin() + size), "cut"), Error);
    }
  }
}

TEST(DecodeAudio, BytesBehindTheEndAreIgnored) {
  for (const char* name : {"vorbis.ogg", "aac.m4a", "stereo.mp3", "flac24.flac"}) {
    SCOPED_TRACE(name);
    Bytes file = sample_media(name);
    const auto want = decode_audio(file, name).pcm;
    append(&file, "TAG");  // an ID3v1 tag, which may follow anything
    for (int i = 0; i < 125; ++i) file.push_back(0);
    EXPECT_EQ(decode_audio(file, name).pcm, want);
  }
}

TEST(SplitClips, ConsecutiveClipsWithoutAScrap) {
  const auto lengths = [](std::size_t samples, std::int64_t clip) {
    Samples sound;
    for (std::size_t i = 0; i < samples; ++i) sound.pcm.push_back(static_cast<float>(i));
    std::vector<std::size_t> out;
    float next = 0;
    for (const Samples& part : split_clips(std::move(sound), clip)) {
      out.push_back(part.pcm.size());
      EXPECT_EQ(part.pcm.at(0), next);
      next += static_cast<float>(part.pcm.size());
    }
    return out;
  };
  using Lengths = std::vector<std::size_t>;
  EXPECT_EQ(lengths(100, 8000), (Lengths{100}));
  EXPECT_EQ(lengths(8000, 8000), (Lengths{8000}));
  EXPECT_EQ(lengths(20'000, 8000), (Lengths{8000, 8000, 4000}));
  EXPECT_EQ(lengths(17'599, 8000), (Lengths{8000, 8000})) << "less than 0.1 s is left";
  EXPECT_EQ(lengths(17'600, 8000), (Lengths{8000, 8000, 1600}));
}

}  // namespace
}  // namespace g3n
