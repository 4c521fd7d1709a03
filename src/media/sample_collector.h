// Takes mono blocks as a decoder produces them, checks them, and resamples to 16 kHz on the way, so that a long file
// never exists at its own rate.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "media/decode_limits.h"

struct soxr;

namespace g3n::media {

class SampleCollector {
 public:
  SampleCollector(const std::string& name, const DecodeLimits& limits);
  ~SampleCollector();
  SampleCollector(const SampleCollector&) = delete;
  SampleCollector& operator=(const SampleCollector&) = delete;

  // Before the first block, and whenever a decoder states its rate again; a change of the rate within one file is an
  // error.
  void set_rate(int rate_hz);
  // declared_seconds: what the file says about itself, 0 if nothing. Throws when that alone is too long.
  void expect_seconds(double declared_seconds) const;
  // Whatever is pushed beyond so many samples is left out.
  void stop_at(std::int64_t count) { stop_at_ = count; }
  // Throws on NaN and infinity, beyond the limits of length and of time.
  void push(std::span<const float> mono);
  // All samples at 16 kHz, ceil(count * 16000 / rate) of them. Throws when there are none.
  std::vector<float> finish();

  // For decoders that go on without pushing anything. check throws.
  bool is_late() const { return clock_.is_over(); }
  void check_time() const { clock_.check(name_); }

  int rate_hz() const { return rate_hz_; }
  std::int64_t count() const { return count_; }  // pushed so far, at the file's own rate

 private:
  void resample(const float* in, std::size_t count);  // in == nullptr: the end

  const std::string& name_;
  double max_seconds_;
  DecodeClock clock_;
  int rate_hz_ = 0;
  std::int64_t count_ = 0, stop_at_ = INT64_MAX;
  std::vector<float> out_, block_;
  std::unique_ptr<soxr, void (*)(soxr*)> resampler_;
};

}  // namespace g3n::media
