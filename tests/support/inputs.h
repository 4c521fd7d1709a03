// The deterministic inputs of the goldens (tools/goldens/inputs.py), integer arithmetic only: pictures, chirps,
// prompts.
#pragma once
#include <cstdint>
#include <vector>

namespace g3n::testing {

std::vector<uint8_t> golden_picture(int64_t width, int64_t height, int64_t seed);  // [height, width, 3]
inline std::vector<uint8_t> golden_image(int64_t size, int64_t seed) { return golden_picture(size, size, seed); }
std::vector<int16_t> golden_chirps(int64_t count, uint32_t seed);  // 16 kHz
std::vector<float> golden_samples(int64_t count, uint32_t seed);   // chirps / 32768
std::vector<int32_t> golden_prompt(int64_t count, int64_t seed);   // ids, the first is <bos>

}  // namespace g3n::testing
