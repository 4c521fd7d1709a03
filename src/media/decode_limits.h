// What decoding one file may come to: size, length, and time, which the decoders look at as they go.
#pragma once
#include <cstdint>
#include <string>

#include "g3n/media.h"

namespace g3n {

struct DecodeLimits {
  std::int64_t image_side = kMaxImageSide, image_pixels = kMaxImagePixels;  // at most these
  double sound_seconds = kSoundSeconds;
  double decode_seconds = 0;  // of processor time; 0: no limit
};

namespace media {

// The processor time of the thread that makes it, which alone asks it.
class DecodeClock {
 public:
  explicit DecodeClock(double most_seconds);
  bool is_over() const;
  // Throws kUnsupported if it is over.
  void check(const std::string& name) const;

 private:
  double most_seconds_, start_;
};

}  // namespace media
}  // namespace g3n
