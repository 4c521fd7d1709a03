// Checks and libsoxr HQ, block by block; libsoxr gives the same samples however its input is cut.
#include "media/sample_collector.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include <soxr.h>

#include "g3n/error.h"
#include "media/audio.h"

namespace g3n::media {
namespace {

constexpr int kMinRateHz = 1000, kMaxRateHz = 768000;
constexpr std::size_t kBlock = 16384;

[[noreturn]] void throw_too_long(const std::string& name, double limit_seconds, const std::string& found) {
  char limit[32];
  std::snprintf(limit, sizeof limit, "%g s", limit_seconds);
  throw Error(ErrorCode::kInvalidArgument,
              name + ": the sound is too long: expected at most " + limit + ", found " + found);
}

}  // namespace

SampleCollector::SampleCollector(const std::string& name, const DecodeLimits& limits)
    : name_(name),
      max_seconds_(limits.sound_seconds),
      clock_(limits.decode_seconds),
      resampler_(nullptr, soxr_delete) {}

SampleCollector::~SampleCollector() = default;

void SampleCollector::set_rate(int rate_hz) {
  if (rate_hz == rate_hz_) return;
  if (rate_hz_ != 0) {
    throw Error(ErrorCode::kBadFile, name_ + ": the sample rate changes from " + std::to_string(rate_hz_) + " to " +
                                         std::to_string(rate_hz) + " Hz within the sound");
  }
  if (rate_hz < kMinRateHz || rate_hz > kMaxRateHz) {
    throw Error(ErrorCode::kBadFile, name_ + ": expected a sample rate of " + std::to_string(kMinRateHz) + " to " +
                                         std::to_string(kMaxRateHz) + " Hz, found " + std::to_string(rate_hz));
  }
  rate_hz_ = rate_hz;
  if (rate_hz == kSampleRateHz) return;
  soxr_error_t error = nullptr;
  const soxr_io_spec_t io = soxr_io_spec(SOXR_FLOAT32_I, SOXR_FLOAT32_I);
  const soxr_quality_spec_t quality = soxr_quality_spec(SOXR_HQ, 0);
  const soxr_runtime_spec_t runtime = soxr_runtime_spec(1);
  resampler_.reset(soxr_create(rate_hz, kSampleRateHz, 1, &error, &io, &quality, &runtime));
  if (error || !resampler_) throw Error(ErrorCode::kInternal, name_ + ": libsoxr: " + (error ? error : "no resampler"));
  block_.resize(kBlock);
}

void SampleCollector::expect_seconds(double declared_seconds) const {
  if (declared_seconds <= max_seconds_) return;
  char found[48];
  std::snprintf(found, sizeof found, "%.1f s", declared_seconds);
  throw_too_long(name_, max_seconds_, found);
}

void SampleCollector::push(std::span<const float> mono) {
  check_time();
  mono = mono.first(
      std::min<std::size_t>(mono.size(), static_cast<std::size_t>(std::max<std::int64_t>(stop_at_ - count_, 0))));
  for (std::size_t i = 0; i < mono.size(); ++i) {
    if (std::isfinite(mono[i])) continue;
    throw Error(ErrorCode::kBadFile, name_ + ": expected finite samples, found " +
                                         (std::isnan(mono[i]) ? "NaN" : "infinity") + " at sample " +
                                         std::to_string(count_ + static_cast<std::int64_t>(i)));
  }
  count_ += static_cast<std::int64_t>(mono.size());
  if (static_cast<double>(count_) > max_seconds_ * rate_hz_) throw_too_long(name_, max_seconds_, "more");
  if (resampler_) {
    resample(mono.data(), mono.size());
  } else {
    out_.insert(out_.end(), mono.begin(), mono.end());
  }
}

void SampleCollector::resample(const float* in, std::size_t count) {
  while (true) {
    std::size_t taken = 0, made = 0;
    if (const soxr_error_t error =
            soxr_process(resampler_.get(), in, count, &taken, block_.data(), block_.size(), &made)) {
      throw Error(ErrorCode::kInternal, name_ + ": libsoxr: " + error);
    }
    out_.insert(out_.end(), block_.begin(), block_.begin() + static_cast<std::ptrdiff_t>(made));
    if (in) in += taken;
    count -= taken;
    if (made < block_.size() && count == 0) return;
  }
}

std::vector<float> SampleCollector::finish() {
  if (count_ == 0) throw Error(ErrorCode::kBadFile, name_ + ": expected sound, found a file without a single sample");
  if (!resampler_) return std::move(out_);
  resample(nullptr, 0);
  out_.resize(static_cast<std::size_t>((count_ * kSampleRateHz + rate_hz_ - 1) / rate_hz_));
  return std::move(out_);
}

}  // namespace g3n::media
