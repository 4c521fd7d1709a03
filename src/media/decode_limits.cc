#include "media/decode_limits.h"

#include <cstdio>
#include <ctime>

#include "g3n/error.h"

namespace g3n::media {
namespace {

double processor_seconds() {
  std::timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

}  // namespace

DecodeClock::DecodeClock(double most_seconds)
    : most_seconds_(most_seconds), start_(most_seconds > 0 ? processor_seconds() : 0) {}

bool DecodeClock::is_over() const { return most_seconds_ > 0 && processor_seconds() - start_ > most_seconds_; }

void DecodeClock::check(const std::string& name) const {
  if (!is_over()) return;
  char limit[32];
  std::snprintf(limit, sizeof limit, "%g s", most_seconds_);
  throw Error(ErrorCode::kUnsupported,
              name + ": it takes too long to decode: expected at most " + limit + " of processor time, found more");
}

}  // namespace g3n::media
