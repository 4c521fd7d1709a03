// Every sample, cut at many lengths and with flipped bytes: the decoders may succeed or throw g3n::Error, and nothing
// else may happen.
#include <gtest/gtest.h>

extern "C" {
#include <libavutil/log.h>
}

#include "g3n/error.h"
#include "media/audio.h"
#include "media/image.h"
#include "media/sniff.h"
#include "support/media_files.h"

namespace g3n {
namespace {

using Bytes = std::vector<std::uint8_t>;

struct Outcome {
  int good = 0, refused = 0;
};

void try_both(const Bytes& file, bool sound, Outcome* outcome) {
  try {
    if (sound) {
      decode_audio(file, "damaged", 60);
    } else {
      decode_image(file, "damaged");
    }
    ++outcome->good;
  } catch (const Error& error) {
    EXPECT_STRNE(error.what(), "");
    ++outcome->refused;
  }
}

std::uint64_t next(std::uint64_t* state) {  // SplitMix64
  std::uint64_t z = *state += 0x9E3779B97F4A7C15;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
  z = (z ^ z >> 27) * 0x94D049BB133111EB;
  return z ^ z >> 31;
}

void damage(const std::filesystem::path& path, Outcome* outcome) {
  constexpr int kCuts = 40, kFlips = 100;
  const Bytes whole = testing::read_bytes(path);
  const bool sound = media::sniff(whole).kind == media::MediaKind::kSound;
  std::uint64_t state = whole.size();
  for (int i = 0; i < kCuts; ++i) {
    const std::size_t size =
        i < kCuts / 2 ? next(&state) % std::min<std::size_t>(whole.size(), 200) : next(&state) % whole.size();
    try_both(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)), sound, outcome);
  }
  for (int i = 0; i < kFlips; ++i) {
    Bytes file = whole;
    const std::size_t range = i % 2 ? file.size() : std::min<std::size_t>(file.size(), 128);  // headers more often
    for (std::uint64_t n = 0; n <= next(&state) % 3; ++n)
      file[next(&state) % range] ^= static_cast<std::uint8_t>(1 + next(&state) % 255);
    try_both(file, sound, outcome);
  }
}

TEST(Damage, SamplesCutAndFlipped) {
  av_log_set_level(AV_LOG_QUIET);  // thousands of damaged files: FFmpeg would write a line on each
  Outcome outcome;
  int files = 0;
  for (const auto& path : testing::media_files(testing::sample_media_folder())) {
    SCOPED_TRACE(path.filename().string());
    damage(path, &outcome);
    ++files;
  }
  EXPECT_GT(files, 60);
  EXPECT_GT(outcome.good, 200);  // a flipped colour or sample is no error
  EXPECT_GT(outcome.refused, 2000);
}

}  // namespace
}  // namespace g3n
