// Counter-based randomness: the value depends on (seed, counter) alone, so a replayed or batched sequence draws the
// same numbers.
#pragma once
#include <cstdint>

namespace g3n {

// SplitMix64's finaliser.
inline uint64_t mix64(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

// Uniform in [0, 1), 53 bits.
inline double uniform01(uint64_t seed, uint64_t counter) {
  const uint64_t z = mix64(mix64(seed + 0x9e3779b97f4a7c15u) + (counter + 1) * 0x9e3779b97f4a7c15u);
  return static_cast<double>(z >> 11) * 0x1p-53;
}

}  // namespace g3n
