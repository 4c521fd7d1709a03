#include "support/inputs.h"

#include <cstdlib>

namespace g3n::testing {

std::vector<uint8_t> golden_picture(int64_t width, int64_t height, int64_t seed) {
  std::vector<uint8_t> out;
  out.reserve(static_cast<size_t>(width * height * 3));
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x)
      for (int64_t c = 0; c < 3; ++c)
        out.push_back(
            static_cast<uint8_t>(x * (3 + c) + y * (5 - c) + ((x * x + 3 * y * y + (c + 1) * x * y) >> 7) + 31 * seed));
  return out;
}

std::vector<int16_t> golden_chirps(int64_t count, uint32_t seed) {
  const auto triangle = [](uint32_t phase) { return std::abs(static_cast<int32_t>(phase) >> 16) - 16384; };
  std::vector<int16_t> out(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t n = static_cast<uint32_t>(i);
    const uint32_t pairs = static_cast<uint32_t>(i * (i - 1) / 2);
    uint32_t h = n * 2654435761u;
    h ^= h >> 15;
    h *= 2246822519u;
    const int64_t noise = static_cast<int64_t>(h >> 21) - 1024;
    const int64_t envelope = std::abs(static_cast<int32_t>(2200000u * n + 700000000u * seed) >> 16);
    const int64_t s = 5 * int64_t{triangle((53687091u + 7000000u * seed) * n + 25166u * pairs)} +
                      3 * int64_t{triangle(211000000u * n + (6100u + 900u * seed) * pairs)} + 4 * noise;
    out[static_cast<size_t>(i)] = static_cast<int16_t>((s * envelope) >> 19);
  }
  return out;
}

std::vector<float> golden_samples(int64_t count, uint32_t seed) {
  std::vector<float> out;
  for (const int16_t sample : golden_chirps(count, seed)) out.push_back(static_cast<float>(sample) / 32768.0f);
  return out;
}

std::vector<int32_t> golden_prompt(int64_t count, int64_t seed) {
  std::vector<int32_t> out = {2};
  for (int64_t i = 1; i < count; ++i) out.push_back(static_cast<int32_t>(3 + (7 * i * i + 37 * i + 11 * seed) % 490));
  return out;
}

}  // namespace g3n::testing
