// The audio front end: goldens of transformers (from files, from formulas, and of a padded batch), the float64 values
// of spec/audio.md 10, limits.
#include "audio/mel.h"

#include <cmath>
#include <complex>
#include <numbers>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "audio/real_fft.h"
#include "g3n/error.h"
#include "media/audio.h"
#include "support/inputs.h"
#include "support/media_files.h"

namespace g3n {
namespace {

using ::testing::HasSubstr;

std::vector<float> sine(int count, double cycles_per_sample, double amplitude) {
  std::vector<float> out;
  for (int n = 0; n < count; ++n)
    out.push_back(static_cast<float>(amplitude * std::sin(2 * std::numbers::pi * cycles_per_sample * n)));
  return out;
}

TEST(LogMel, FilesAsTransformers) {
  const auto folder = testing::golden_media_folder();
  const auto manifest = testing::read_json(folder / "manifest.json");
  int compared = 0;
  for (const auto& [key, want] : manifest["audio"].items()) {
    if (!key.ends_with(".log_mel")) continue;
    SCOPED_TRACE(key);
    const std::string name = key.substr(0, key.size() - 8);
    const LogMel got = log_mel({}, decode_audio(testing::read_bytes(folder / name), name).pcm);
    ASSERT_EQ(got.frames, want["shape"][0]);
    ASSERT_EQ(got.mels, want["shape"][1]);
    const auto values = testing::every(got.values, want["stride"]),
               stored = testing::stored_values(folder / "audio.safetensors", key);
    if (want.contains("tolerance")) {
      EXPECT_LE(testing::relative_error(values, stored), want["tolerance"]);
    }
    int heard = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (stored[i] <= -3.0f) continue;
      ASSERT_NEAR(values[i], stored[i], want["largest_difference_above_floor"].get<double>()) << i;
      ++heard;
    }
    EXPECT_GT(heard, 100);
    ++compared;
  }
  EXPECT_EQ(compared, 6);
}

class Chirps : public ::testing::TestWithParam<const char*> {};

TEST_P(Chirps, AsTransformers) {
  const auto folder = testing::golden_media_folder().parent_path();
  const std::string name = GetParam();
  const auto manifest = testing::read_json(folder / "manifest.json");
  const auto& golden = manifest["cases"][name];
  const auto& clips = golden["inputs"]["clips"];
  std::int64_t longest = 0;
  for (const auto& clip : clips) longest = std::max(longest, clip["samples"].get<std::int64_t>());
  for (std::size_t i = 0; i < clips.size(); ++i) {
    const auto samples = testing::golden_chirps(clips[i]["samples"], clips[i]["seed"]);
    ASSERT_EQ(testing::crc32_hex(samples.data(), samples.size() * sizeof samples[0]), clips[i]["crc32"]);
    const LogMel got = log_mel({}, testing::golden_samples(clips[i]["samples"], clips[i]["seed"]), longest);
    const std::string tap = (clips.size() > 1 ? "clip." + std::to_string(i) + "." : std::string()) + "audio.log_mel";
    const auto& want = golden["taps"][tap];
    ASSERT_EQ(got.frames, want["shape"][0]);
    const auto stored = testing::stored_values(folder / golden["file"].get<std::string>(), tap);
    EXPECT_LE(testing::relative_error(testing::every(got.values, want["stride"]), stored),
              want["tolerance"].get<double>());
    std::int64_t valid = 0;
    for (const auto v : got.valid) valid += v;
    EXPECT_EQ(valid, clips[i]["valid_frames"]);
  }
}

INSTANTIATE_TEST_SUITE_P(Audio, Chirps,
                         ::testing::Values("audio_0s25", "audio_1s", "audio_5s3", "audio_30s", "audio_batch"),
                         [](const auto& name) { return std::string(name.param); });

TEST(LogMel, Float64Golden) {
  const LogMel got = log_mel({}, sine(8000, 440.0 / 16000, 0.5));
  ASSERT_EQ(got.frames, 48);
  const int mels[] = {0, 10, 15, 20, 40, 64, 100, 127};
  const struct {
    int frame;
    double values[8], mean;
  } rows[] = {{0, {-5.7380, -3.5461, 1.3422, -0.3050, -7.2698, -9.6586, -11.5129, -11.5129}, -8.290758},
              {1, {-5.6232, -3.5433, 1.3422, -0.3050, -7.2936, -9.7215, -11.5129, -11.5129}, -8.319780},
              {47, {-4.3171, -3.0882, 1.3464, -0.3155, -3.9423, -4.3047, -4.4066, -4.2117}, -3.763559}};
  for (const auto& row : rows) {
    double mean = 0;
    for (int m = 0; m < 128; ++m) mean += got.values[static_cast<std::size_t>(row.frame * 128 + m)] / 128.0;
    EXPECT_NEAR(mean, row.mean, 1e-3) << row.frame;
    for (int i = 0; i < 8; ++i)
      EXPECT_NEAR(got.values[static_cast<std::size_t>(row.frame * 128 + mels[i])], row.values[i], 2e-3)
          << row.frame << " " << mels[i];
  }
}

TEST(LogMel, TransformersUnitTest) {
  MelConfig config;
  config.feature_size = 32;
  const LogMel got = log_mel(config, sine(8000, 440.0 / 7999, 1.0));
  ASSERT_EQ(got.frames, 48);
  ASSERT_EQ(got.mels, 32);
  const double want[] = {-5.733152, -5.337127, -4.916284, -4.378989, -3.762275};
  for (std::size_t i = 0; i < 5; ++i) EXPECT_NEAR(got.values[i], want[i], 3e-4);
  const LogMel noise = log_mel(config, testing::golden_samples(4000, 9), 8000);
  ASSERT_EQ(noise.frames, 48);
  for (std::size_t t = 0; t < 48; ++t) EXPECT_EQ(noise.valid[t], t < 25) << t;
}

TEST(LogMel, SilenceIsTheFloorAndBinsAreNormalised) {
  MelConfig config;
  config.per_bin_mean.assign(128, -1.0f);
  config.per_bin_stddev.assign(128, 2.0f);
  const std::vector<float> silence(1000, 0.0f);
  for (const float v : log_mel({}, silence).values) ASSERT_EQ(v, static_cast<float>(std::log(1e-5)));
  for (const float v : log_mel(config, silence).values) ASSERT_EQ(v, static_cast<float>((std::log(1e-5) + 1.0) / 2.0));
}

TEST(LogMel, ConfigurationsThatMakeNoSense) {
  const std::vector<float> clip(1000, 0.1f);
  MelConfig config;
  config.fft_length = 1000;
  EXPECT_THROW(log_mel(config, clip), Error);
  config.fft_length = 256;
  EXPECT_THROW(log_mel(config, clip), Error);
  config = {};
  config.hop_length = 0;
  EXPECT_THROW(log_mel(config, clip), Error);
  config = {};
  config.per_bin_mean.assign(3, 0.0f);
  EXPECT_THROW(log_mel(config, clip), Error);
}

TEST(MelFrames, Arithmetic) {
  const std::int64_t want[][2] = {{0, 0},     {512, 0},    {513, 1},     {640, 1},       {641, 2},      {4000, 23},
                                  {8000, 48}, {16000, 97}, {80000, 497}, {480000, 2997}, {480001, 2997}};
  for (const auto& [samples, frames] : want) EXPECT_EQ(mel_frames({}, samples), frames) << samples;
}

std::string error_of(const std::vector<float>& pcm) {
  try {
    check_clip({}, pcm, "clip");
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(CheckClip, Limits) {
  EXPECT_EQ(error_of(std::vector<float>(513)), "no error");
  EXPECT_EQ(error_of(std::vector<float>(480000)), "no error");
  EXPECT_THAT(error_of(std::vector<float>(512)),
              HasSubstr("too short: expected more than 512 samples at 16000 Hz, found 512 (0.032"));
  EXPECT_THAT(error_of({}), HasSubstr("found 0"));
  EXPECT_THAT(error_of(std::vector<float>(480001)),
              HasSubstr("too long: expected at most 480000 samples (30 s), found 480001"));
  std::vector<float> bad(1000);
  bad[7] = NAN;
  EXPECT_THAT(error_of(bad), HasSubstr("found NaN at sample 7"));
  bad[7] = -INFINITY;
  EXPECT_THAT(error_of(bad), HasSubstr("found infinity at sample 7"));
}

TEST(RealFft, AsTheDefinition) {
  for (const int length : {4, 8, 64, 1024}) {
    std::vector<double> in, got(static_cast<std::size_t>(length / 2 + 1));
    for (const float s : testing::golden_samples(length, 5)) in.push_back(s);
    RealFft(length).magnitudes(in.data(), got.data());
    for (int k = 0; k <= length / 2; ++k) {
      std::complex<double> sum = 0;
      for (int n = 0; n < length; ++n)
        sum += in[static_cast<std::size_t>(n)] * std::polar(1.0, -2 * std::numbers::pi * k * n / length);
      ASSERT_NEAR(got[static_cast<std::size_t>(k)], std::abs(sum), 1e-11) << length << " " << k;
    }
  }
}

}  // namespace
}  // namespace g3n
