// Counter-based randomness: the value depends on (seed, counter) alone, so a replayed or batched sequence draws the
// same numbers.
#pragma once
#include <cmath>
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

// Noise of the draw of one token, per id: adding it to the scores makes their argmax a draw from their softmax. hash =
// mix64(key + (id + 1) * step); the lower it is, the higher gumbel_noise(hash).
inline uint64_t noise_key(uint64_t seed, uint64_t position) {
  return mix64(mix64(seed + 0x9e3779b97f4a7c15u) + (position + 1) * 0x9e3779b97f4a7c15u);
}
inline uint64_t noise_hash(uint64_t key, uint64_t id) { return mix64(key + (id + 1) * 0x9e3779b97f4a7c15u); }

// 1 - u of a hash: a multiple of 2^-53 in [2^-53, 1 - 2^-53], so that u is exact and neither 0 nor 1.
inline double noise_complement(uint64_t hash) { return (static_cast<double>(hash >> 12) + 0.5) * 0x1p-52; }

// -log(-log(u)), in [-3.61, 36.74].
inline double gumbel_noise(uint64_t hash) { return -std::log(-std::log(1 - noise_complement(hash))); }
constexpr double kMostGumbelNoise = 36.8;

}  // namespace g3n
