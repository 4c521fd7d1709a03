// Every fuzz target over its seeds and what was found before, whole, cut and with some bytes changed.
#include <gtest/gtest.h>

extern "C" {
#include <libavutil/log.h>
}

#include <algorithm>

#include "fuzz/targets.h"
#include "support/source_path.h"

namespace g3n::fuzz {
namespace {

uint64_t next(uint64_t* state) {  // SplitMix64
  uint64_t z = *state += 0x9E3779B97F4A7C15;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
  z = (z ^ z >> 27) * 0x94D049BB133111EB;
  return z ^ z >> 31;
}

class Corpus : public ::testing::TestWithParam<Target> {};

TEST_P(Corpus, EndsInNothingButErrors) {
  constexpr size_t kLargest = size_t{256} << 10;  // of a file that is run more than once
  constexpr int kRuns = 30;
  av_log_set_level(AV_LOG_QUIET);
  const auto seeds = seeds_of(GetParam(), source_path(""));
  ASSERT_FALSE(seeds.empty());
  uint64_t state = 1;
  GetParam().run({});
  for (const std::vector<uint8_t>& seed : seeds) {
    GetParam().run(seed);
    if (seed.empty() || seed.size() > kLargest) continue;
    for (int i = 0; i < kRuns; ++i) {
      std::vector<uint8_t> bytes = seed;
      if (i % 3 == 0) {
        bytes.resize(next(&state) % bytes.size());
      } else {
        const size_t range = i % 3 == 1 ? bytes.size() : std::min<size_t>(bytes.size(), 64);  // headers more often
        for (uint64_t n = 0; n <= next(&state) % 4; ++n)
          bytes[next(&state) % range] = static_cast<uint8_t>(next(&state));
      }
      GetParam().run(bytes);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Fuzz, Corpus, ::testing::ValuesIn(targets()),
                         [](const auto& target) { return std::string(target.param.name); });

}  // namespace
}  // namespace g3n::fuzz
