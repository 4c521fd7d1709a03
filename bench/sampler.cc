// What choosing a token costs, ms a row of a whole vocabulary: bench_sampler [ROUNDS]
// Rows: as a model's (normal, a few likely ids), flat (all ids nearly alike) and equal, the worst for a sampler that
// selects. "all ids" draws without a cut.
#include "runtime/sampler.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "core/rng.h"
#include "g3n/error.h"

namespace {

constexpr int64_t kVocab = 262144, kChoosable = 262144 - 256;

std::vector<float> normal_row(double deviation, std::uint64_t seed) {
  std::vector<float> row(kVocab);
  for (std::size_t i = 0; i < row.size(); ++i)
    row[i] = static_cast<float>(deviation * std::sqrt(-2 * std::log(1 - g3n::uniform01(seed, 2 * i))) *
                                std::cos(6.283185307179586 * g3n::uniform01(seed, 2 * i + 1)));
  return row;
}

struct Setting {
  const char* name;
  g3n::AnswerOptions options;
  int history = 0;
};

std::vector<Setting> settings() {
  const auto with = [](double temperature, int top_k, double top_p, double min_p = 0) {
    g3n::AnswerOptions o;
    o.sampling.temperature = temperature, o.sampling.top_k = top_k, o.sampling.top_p = top_p, o.sampling.min_p = min_p;
    return o;
  };
  std::vector<Setting> out{{"greedy", with(0, 64, 0.95)},
                           {"top-k 64, top-p 0.95", with(1, 64, 0.95)},
                           {"all ids", with(1, 0, 1)},
                           {"top-p 0.95", with(1, 0, 0.95)},
                           {"top-p 0.9999999", with(1, 0, 0.9999999)},
                           {"top-p 0.95, temperature 100", with(100, 0, 0.95)},
                           {"min-p 0.05", with(1, 0, 1, 0.05)},
                           {"top-k 1000", with(1, 1000, 1)},
                           {"top-k 100000, top-p 0.95", with(1, 100000, 0.95)}};
  out.push_back({"top-k 64, top-p 0.95, logprobs 20", with(1, 64, 0.95)});
  out.back().options.logprobs = 20;
  out.push_back({"top-k 64, top-p 0.95, penalties over 30000", with(1, 64, 0.95), 30000});
  out.push_back({"top-p 0.95, penalties over 30000", with(1, 0, 0.95), 30000});
  for (Setting& s : out)
    if (s.history > 0) {
      s.options.sampling.repetition_penalty = 1.1;
      s.options.sampling.presence_penalty = s.options.sampling.frequency_penalty = 0.1;
    }
  return out;
}

double milliseconds(const Setting& setting, const std::vector<float>& row, int rounds) {
  g3n::Sampler sampler(setting.options, kChoosable, kVocab, {});
  for (int i = 0; i < setting.history; ++i) sampler.accept(static_cast<int32_t>(g3n::mix64(i) % kChoosable));
  std::vector<double> times;
  for (int i = 0; i < rounds; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    if (sampler.choose(row, i).id < 0) std::abort();
    times.push_back(1e3 * std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  std::nth_element(times.begin(), times.begin() + rounds / 2, times.end());
  return times[rounds / 2];
}

}  // namespace

int main(int argc, char** argv) try {
  const int rounds = argc > 1 ? std::max(1, std::atoi(argv[1])) : 50;
  std::vector<float> model = normal_row(3.5, 1);
  for (int i = 0; i < 20; ++i) model[static_cast<std::size_t>(i * 7919)] = 22 - 0.5f * static_cast<float>(i);
  const std::vector<float> flat = normal_row(0.5, 2), equal(kVocab, 1.0f);
  std::printf("%-44s %8s %8s %8s   ms a row of %lld ids\n", "", "model", "flat", "equal",
              static_cast<long long>(kVocab));
  for (const Setting& s : settings())
    std::printf("%-44s %8.3f %8.3f %8.3f\n", s.name, milliseconds(s, model, rounds), milliseconds(s, flat, rounds),
                milliseconds(s, equal, rounds));
  return 0;
} catch (const g3n::Error& error) {
  std::fprintf(stderr, "bench_sampler: %s\n", error.what());
  return 1;
}
