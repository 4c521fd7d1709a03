// Per frame: pre-emphasis and window in float32 as transformers, FFT in float64, magnitudes through triangles on the
// mel scale, floor, logarithm.
#include "audio/mel.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <numbers>

#include "audio/real_fft.h"
#include "g3n/error.h"

namespace g3n {
namespace {

// One mel band: weights of consecutive bins of the spectrum.
struct Band {
  int first = 0;
  std::vector<double> weights;
};

double hz_to_mel(double hz) { return 2595.0 * std::log10(1.0 + hz / 700.0); }
double mel_to_hz(double mel) { return 700.0 * (std::pow(10.0, mel / 2595.0) - 1.0); }

// Triangles with corners equally spaced in mel and sides straight in Hz, of height 1 (no area normalisation).
std::vector<Band> make_bands(const MelConfig& config) {
  const int mels = config.feature_size, bins = config.fft_length / 2 + 1;
  const double low = hz_to_mel(config.min_frequency), high = hz_to_mel(config.max_frequency);
  std::vector<double> corners(mels + 2);
  for (int i = 0; i < mels + 2; ++i) corners[i] = mel_to_hz(low + (high - low) * i / (mels + 1));
  std::vector<Band> bands(mels);
  for (int m = 0; m < mels; ++m) {
    for (int k = 0; k < bins; ++k) {
      const double hz = static_cast<double>(config.sampling_rate) * k / config.fft_length;
      const double weight = std::min((hz - corners[m]) / (corners[m + 1] - corners[m]),
                                     (corners[m + 2] - hz) / (corners[m + 2] - corners[m + 1]));
      if (weight <= 0) continue;
      if (bands[m].weights.empty()) bands[m].first = k;
      bands[m].weights.push_back(weight);
    }
  }
  return bands;
}

// Periodic Hann: the denominator is the frame length itself.
std::vector<float> make_window(int length) {
  std::vector<float> window(length);
  for (int i = 0; i < length; ++i)
    window[i] = static_cast<float>(0.5 * (1.0 - std::cos(2.0 * std::numbers::pi * i / length)));
  return window;
}

constexpr int kMostLength = 1 << 20;  // of any length, in samples
constexpr int kMostMels = 4096;
constexpr int kMostSamples = 3600 * 16000;                   // an hour
constexpr std::int64_t kMostValues = std::int64_t{1} << 26;  // of a clip's log-mel: 256 MB

void expect(bool good, const char* key, const std::string& wanted, double found) {
  if (good) return;
  char text[40];
  std::snprintf(text, sizeof text, "%.9g", found);
  throw Error(ErrorCode::kInvalidArgument, std::string(key) + ": expected " + wanted + ", found " + text);
}

void expect_between(const char* key, int value, int least, int most) {
  expect(value >= least && value <= most, key,
         "an integer between " + std::to_string(least) + " and " + std::to_string(most), value);
}

void expect_per_bin(const char* key, const std::vector<float>& values, int mels, bool is_divisor) {
  if (values.empty()) return;
  expect(values.size() == static_cast<std::size_t>(mels), key,
         "a list of " + std::to_string(mels) + " numbers (feature_size)", static_cast<double>(values.size()));
  for (const float value : values)
    expect(std::isfinite(value) && (value > 0 || !is_divisor), key, is_divisor ? "positive numbers" : "finite numbers",
           value);
}

class MelFrontEnd {
 public:
  explicit MelFrontEnd(const MelConfig& config)
      : config_(config),
        bands_(make_bands(config)),
        window_(make_window(config.frame_length)),
        fft_(config.fft_length),
        samples_(config.fft_length),
        magnitudes_(config.fft_length / 2 + 1),
        coefficient_(static_cast<float>(config.preemphasis)),
        first_factor_(static_cast<float>(1.0 - config.preemphasis)) {}

  // piece: [frame_length + 1]; out: [mels]
  void frame(const float* piece, float* out) {
    for (int i = 0; i < config_.frame_length; ++i) samples_[i] = static_cast<double>(emphasised(piece, i) * window_[i]);
    fft_.magnitudes(samples_.data(), magnitudes_.data());
    for (std::size_t m = 0; m < bands_.size(); ++m) {
      double sum = 0;
      for (std::size_t k = 0; k < bands_[m].weights.size(); ++k)
        sum += magnitudes_[bands_[m].first + k] * bands_[m].weights[k];
      double value = std::log(std::max(sum, config_.mel_floor));
      if (!config_.per_bin_mean.empty()) value -= config_.per_bin_mean[m];
      if (!config_.per_bin_stddev.empty()) value /= config_.per_bin_stddev[m];
      out[m] = static_cast<float>(value);
    }
  }

 private:
  // HTK's flavour looks back inside the frame, the other one looks ahead to the piece's extra sample.
  float emphasised(const float* piece, int i) const {
    if (coefficient_ <= 0.0f) return piece[i];
    if (!config_.preemphasis_htk_flavor) return piece[i + 1] - coefficient_ * piece[i];
    return i == 0 ? piece[0] * first_factor_ : piece[i] - coefficient_ * piece[i - 1];
  }

  const MelConfig& config_;
  std::vector<Band> bands_;
  std::vector<float> window_;  // [frame_length]
  RealFft fft_;
  std::vector<double> samples_;     // [fft_length], zero behind the frame
  std::vector<double> magnitudes_;  // [fft_length / 2 + 1]
  float coefficient_, first_factor_;
};

std::int64_t round_up(std::int64_t value, std::int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

}  // namespace

void check_mel_config(const MelConfig& c) {
  expect_between("sampling_rate", c.sampling_rate, 1, kMostLength);
  expect_between("feature_size", c.feature_size, 1, kMostMels);
  expect_between("frame_length", c.frame_length, 1, kMostLength);
  expect_between("hop_length", c.hop_length, 1, kMostLength);
  expect(c.fft_length >= 4 && c.fft_length <= kMostLength && std::has_single_bit(static_cast<unsigned>(c.fft_length)) &&
             c.fft_length >= c.frame_length,
         "fft_length",
         "a power of two between 4 and " + std::to_string(kMostLength) + ", at least frame_length (" +
             std::to_string(c.frame_length) + ")",
         c.fft_length);
  expect(c.min_frequency >= 0, "min_frequency", "a number of at least 0", c.min_frequency);
  // Closer corners of neighbouring bands would round to one number.
  expect(c.max_frequency >= c.min_frequency + 1 && c.max_frequency <= kMostLength, "max_frequency",
         "a number between min_frequency + 1 and " + std::to_string(kMostLength), c.max_frequency);
  expect(std::isfinite(c.preemphasis), "preemphasis", "a finite number", c.preemphasis);
  expect(c.mel_floor > 0 && std::isfinite(c.mel_floor), "mel_floor", "a positive number", c.mel_floor);
  expect(std::isfinite(c.input_scale_factor), "input_scale_factor", "a finite number", c.input_scale_factor);
  expect_per_bin("per_bin_mean", c.per_bin_mean, c.feature_size, false);
  expect_per_bin("per_bin_stddev", c.per_bin_stddev, c.feature_size, true);
  expect_between("pad_to_multiple_of", c.pad_to_multiple_of, 1, kMostLength);
  expect_between("max_samples", c.max_samples, 1, kMostSamples);
  expect(mel_frames(c, c.max_samples) <= kMostValues / c.feature_size, "hop_length",
         "a step that makes at most " + std::to_string(kMostValues / c.feature_size) + " frames of a clip",
         c.hop_length);
}

std::int64_t mel_frames(const MelConfig& config, std::int64_t samples) {
  const std::int64_t padded =
      round_up(std::clamp<std::int64_t>(samples, 0, config.max_samples), config.pad_to_multiple_of);
  const std::int64_t piece = config.frame_length + 1;
  return padded < piece ? 0 : (padded - piece) / config.hop_length + 1;
}

void check_clip(const MelConfig& config, std::span<const float> pcm, const std::string& name) {
  check_mel_config(config);
  const auto samples = static_cast<std::int64_t>(pcm.size());
  const auto found = [&] {
    return "found " + std::to_string(samples) + " (" +
           std::to_string(static_cast<double>(samples) / config.sampling_rate) + " s)";
  };
  if (mel_frames(config, samples) == 0 || samples <= config.frame_length) {
    throw Error(ErrorCode::kInvalidArgument, name + ": the clip is too short: expected more than " +
                                                 std::to_string(config.frame_length) + " samples at " +
                                                 std::to_string(config.sampling_rate) + " Hz, " + found());
  }
  if (samples > config.max_samples) {
    throw Error(ErrorCode::kInvalidArgument, name + ": the clip is too long: expected at most " +
                                                 std::to_string(config.max_samples) + " samples (" +
                                                 std::to_string(config.max_samples / config.sampling_rate) + " s), " +
                                                 found() + "; split it into shorter clips");
  }
  const auto bad = std::find_if(pcm.begin(), pcm.end(), [](float s) { return !std::isfinite(s); });
  if (bad == pcm.end()) return;
  throw Error(ErrorCode::kInvalidArgument, name + ": expected finite samples, found " +
                                               (std::isnan(*bad) ? "NaN" : "infinity") + " at sample " +
                                               std::to_string(bad - pcm.begin()));
}

LogMel log_mel(const MelConfig& config, std::span<const float> pcm, std::int64_t padded_samples) {
  check_mel_config(config);
  const std::int64_t samples = std::min<std::int64_t>(static_cast<std::int64_t>(pcm.size()), config.max_samples);
  const std::int64_t longest = std::max(samples, std::min<std::int64_t>(padded_samples, config.max_samples));
  LogMel out;
  out.frames = mel_frames(config, longest);
  out.mels = config.feature_size;
  out.values.resize(static_cast<std::size_t>(out.frames * out.mels));
  out.valid.resize(static_cast<std::size_t>(out.frames));
  MelFrontEnd front_end(config);
  std::vector<float> piece(config.frame_length + 1);
  for (std::int64_t t = 0; t < out.frames; ++t) {
    const std::int64_t start = t * config.hop_length;
    const std::int64_t inside = std::clamp<std::int64_t>(samples - start, 0, static_cast<std::int64_t>(piece.size()));
    std::fill(piece.begin(), piece.end(), 0.0f);
    for (std::int64_t i = 0; i < inside; ++i) piece[i] = pcm[start + i] * static_cast<float>(config.input_scale_factor);
    front_end.frame(piece.data(), out.values.data() + t * out.mels);
    out.valid[static_cast<std::size_t>(t)] = start < samples;
  }
  return out;
}

}  // namespace g3n
