#include "runtime/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <map>
#include <set>

#include "core/rng.h"
#include "g3n/error.h"
#include "runtime/score_row.h"
#include "support/errors.h"

namespace g3n {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr int64_t kVocab = 262144;
constexpr double kHuge = 1e308;

Sampling plain() { return {.temperature = 1, .top_k = 0, .top_p = 1}; }
Sampling greedy() { return {.temperature = 0}; }

AnswerOptions options_of(const Sampling& sampling) {
  AnswerOptions options;
  options.sampling = sampling;
  return options;
}

Sampler sampler_of(const AnswerOptions& options, size_t vocab, const std::vector<int32_t>& stop_ids = {}) {
  return Sampler(options, static_cast<int64_t>(vocab), static_cast<int64_t>(vocab), stop_ids);
}

int32_t choose_once(const Sampling& sampling, const std::vector<float>& logits, int64_t position = 0) {
  return sampler_of(options_of(sampling), logits.size()).choose(logits, position).id;
}

std::vector<float> normal_row(int64_t size, double deviation, uint64_t seed) {
  std::vector<float> row(static_cast<size_t>(size));
  for (size_t i = 0; i < row.size(); ++i) {
    const double r = std::sqrt(-2 * std::log(1 - uniform01(seed, 2 * i)));
    row[i] = static_cast<float>(deviation * r * std::cos(6.283185307179586 * uniform01(seed, 2 * i + 1)));
  }
  return row;
}

// ---- A second sampler, written plainly: everything sorted, everything in double, the noise by its formula. ----

struct History {
  std::vector<int32_t> prompt, answer;
};

double clamped(double x) { return std::min<double>(std::max<double>(x, -FLT_MAX), FLT_MAX); }

struct Reference {
  struct Entry {
    double score, weight;
    int32_t id;
  };
  std::vector<Entry> kept;  // best first

  Reference(const AnswerOptions& o, const std::vector<float>& logits, int64_t choosable, const History& history,
            const std::vector<int32_t>& stop_ids) {
    std::map<int32_t, int> in_answer;
    std::set<int32_t> in_any(history.prompt.begin(), history.prompt.end());
    for (int32_t id : history.answer) ++in_answer[id], in_any.insert(id);
    std::set<int32_t> banned(o.banned_ids.begin(), o.banned_ids.end());
    if (static_cast<int64_t>(history.answer.size()) < o.min_tokens) banned.insert(stop_ids.begin(), stop_ids.end());
    const std::map<int32_t, float> bias(o.logit_bias.begin(), o.logit_bias.end());
    const Sampling& s = o.sampling;
    for (int32_t id = 0; id < choosable; ++id) {
      float score = logits[static_cast<size_t>(id)];
      const float penalty = static_cast<float>(s.repetition_penalty);
      if (penalty != 1 && in_any.count(id))
        score = static_cast<float>(clamped(score < 0 ? double{score} * penalty : double{score} / penalty));
      if (const auto at = in_answer.find(id); at != in_answer.end())
        score = static_cast<float>(clamped(score - s.presence_penalty - s.frequency_penalty * at->second));
      if (const auto at = bias.find(id); at != bias.end())
        score = static_cast<float>(clamped(double{score} + at->second));
      if (!banned.count(id)) kept.push_back({score, 0, id});
    }
    std::stable_sort(kept.begin(), kept.end(), [](const Entry& a, const Entry& b) { return a.score > b.score; });
    if (s.temperature == 0) kept.resize(1);
    if (s.top_k > 0 && kept.size() > static_cast<size_t>(s.top_k)) kept.resize(static_cast<size_t>(s.top_k));
    double total = 0, mass = 0;
    const double best = kept[0].score;
    for (Entry& e : kept) {
      e.score = s.temperature == 0 ? 0 : (e.score - best) * std::min(1 / s.temperature, DBL_MAX);
      total += e.weight = std::exp(e.score);
    }
    if (s.top_p < 1) {
      size_t count = 0;
      while (count < kept.size() && mass < s.top_p * total) mass += kept[count++].weight;
      kept.resize(std::max<size_t>(count, 1));
    }
    while (kept.back().weight < s.min_p) kept.pop_back();
  }

  int32_t draw(uint64_t seed, int64_t position) const {
    double most = -INFINITY;
    int32_t best = -1;
    for (const Entry& e : kept) {
      const uint64_t hash = noise_hash(noise_key(seed, static_cast<uint64_t>(position)), static_cast<uint64_t>(e.id));
      const double u = 1 - (static_cast<double>(hash >> 12) + 0.5) / 4503599627370496.0;
      const double value = e.score - std::log(-std::log(u));
      if (value > most || (value == most && e.id < best)) most = value, best = e.id;
    }
    return best;
  }

  std::map<int32_t, double> shares() const {
    std::map<int32_t, double> out;
    double total = 0;
    for (const Entry& e : kept) total += e.weight;
    for (const Entry& e : kept) out[e.id] = e.weight / total;
    return out;
  }
};

// ---- Distribution ----

// Draws at 10^6 positions against the reference's shares: chi-square below its 0.999 quantile (Wilson, Hilferty).
void expect_distribution(const AnswerOptions& o, const History& history) {
  constexpr int kDraws = 1'000'000, kIds = 40;
  const std::vector<float> logits = normal_row(kIds, 1.5, 3);
  Sampler sampler = sampler_of(o, kIds);
  sampler.add_prompt(history.prompt);
  for (int32_t id : history.answer) sampler.accept(id);
  std::vector<int> counts(kIds);
  for (int i = 0; i < kDraws; ++i) ++counts[static_cast<size_t>(sampler.choose(logits, i).id)];
  const std::map<int32_t, double> shares = Reference(o, logits, kIds, history, {}).shares();
  double chi = 0, rest = 0, rest_count = 0;
  int degrees = -1;
  for (int32_t id = 0; id < kIds; ++id) {
    const auto at = shares.find(id);
    const double expected = at == shares.end() ? 0 : at->second * kDraws;
    if (at == shares.end()) {
      EXPECT_EQ(counts[id], 0) << "id " << id << " should never be chosen";
    } else if (expected < 20) {
      rest += expected, rest_count += counts[id];
    } else {
      chi += (counts[id] - expected) * (counts[id] - expected) / expected, ++degrees;
    }
  }
  if (rest > 0) chi += (rest_count - rest) * (rest_count - rest) / rest, ++degrees;
  ASSERT_GT(degrees, 1);
  const double d = degrees, edge = d * std::pow(1 - 2 / (9 * d) + 3.09 * std::sqrt(2 / (9 * d)), 3);
  EXPECT_LT(chi, edge) << degrees << " degrees of freedom";
}

TEST(SamplerDistribution, Plain) { expect_distribution(options_of(plain()), {}); }
TEST(SamplerDistribution, Temperature) {
  expect_distribution(options_of({.temperature = 0.6, .top_k = 0, .top_p = 1, .seed = 1}), {});
}
TEST(SamplerDistribution, TopK) {
  expect_distribution(options_of({.temperature = 1.3, .top_k = 7, .top_p = 1, .seed = 2}), {});
}
TEST(SamplerDistribution, TopP) {
  expect_distribution(options_of({.temperature = 1, .top_k = 0, .top_p = 0.8, .seed = 3}), {});
}
TEST(SamplerDistribution, MinPAndPenalties) {
  expect_distribution(options_of({.temperature = 0.9,
                                  .top_k = 0,
                                  .top_p = 1,
                                  .min_p = 0.03,
                                  .repetition_penalty = 1.3,
                                  .presence_penalty = 0.4,
                                  .frequency_penalty = -0.2,
                                  .seed = 4}),
                      {{1, 2, 3, 4, 5, 6, 7, 8, 1, 2}, {3, 10, 11, 12, 13, 11, 11, 30}});
}

// ---- Noise ----

TEST(SamplerNoise, IsAFunctionOfSeedPositionAndId) {
  // Two ids of equal score: which wins depends on their own noise only, whatever stands beside them.
  int lower = 0;
  for (int64_t position = 0; position < 2000; ++position) {
    std::vector<float> logits(500, -1000.0f);
    logits[17] = logits[400] = 3;
    const int32_t alone = choose_once(plain(), logits, position);
    for (size_t i = 401; i < 500; ++i) logits[i] = -40;
    logits[2] = -50;
    EXPECT_EQ(choose_once(plain(), logits, position), alone);
    EXPECT_EQ(choose_once({.temperature = 1, .top_k = 2, .top_p = 1}, logits, position), alone);
    EXPECT_EQ(choose_once({.temperature = 1, .top_k = 0, .top_p = 0.999}, logits, position), alone);
    lower += alone == 17;
  }
  EXPECT_NEAR(lower, 1000, 100);
}

TEST(SamplerNoise, IsFiniteAndOrderedByTheHash) {
  EXPECT_LT(gumbel_noise(0), kMostGumbelNoise);
  EXPECT_GT(gumbel_noise(0), 36.7);
  EXPECT_GT(gumbel_noise(UINT64_MAX), -3.7);
  double before = INFINITY;
  for (uint64_t i = 0; i < 4096; ++i) {
    const double noise = gumbel_noise(i << 52);
    EXPECT_LT(noise, before);
    before = noise;
  }
}

TEST(SamplerNoise, HasGumbelsMoments) {
  double sum = 0, squares = 0;
  constexpr int kDraws = 400'000;
  for (int i = 0; i < kDraws; ++i) {
    const double g =
        gumbel_noise(noise_hash(noise_key(5, static_cast<uint64_t>(i / 1000)), static_cast<uint64_t>(i % 1000)));
    sum += g, squares += g * g;
  }
  const double mean = sum / kDraws;
  EXPECT_NEAR(mean, 0.5772157, 0.01);
  EXPECT_NEAR(squares / kDraws - mean * mean, 1.644934, 0.03);
}

TEST(Sampler, TheDrawIsAFunctionOfSeedAndPosition) {
  const std::vector<float> logits(100, 0.0f);
  Sampling s = plain();
  s.seed = 7;
  Sampler a = sampler_of(options_of(s), 100), b = a;
  std::vector<int32_t> forward, backward(50), other;
  for (int i = 0; i < 50; ++i) forward.push_back(a.choose(logits, i).id);
  for (int i = 49; i >= 0; --i) backward[i] = b.choose(logits, i).id;
  EXPECT_EQ(forward, backward);
  s.seed = 8;
  Sampler c = sampler_of(options_of(s), 100);
  for (int i = 0; i < 50; ++i) other.push_back(c.choose(logits, i).id);
  EXPECT_NE(forward, other);
}

// ---- Against the reference ----

struct Kind {
  const char* name;
  std::vector<float> (*row)(int64_t size, uint64_t seed);
};
const Kind kKinds[] = {
    {"normal", [](int64_t n, uint64_t seed) { return normal_row(n, 3.5, seed); }},
    {"narrow", [](int64_t n, uint64_t seed) { return normal_row(n, 0.01, seed); }},
    {"wide", [](int64_t n, uint64_t seed) { return normal_row(n, 1e4, seed); }},
    {"equal", [](int64_t n, uint64_t) { return std::vector<float>(static_cast<size_t>(n), 2.5f); }},
    {"steps",
     [](int64_t n, uint64_t seed) {
       std::vector<float> row = normal_row(n, 2, seed);
       for (float& x : row) x = std::round(2 * x) / 2;
       return row;
     }},
    {"rising",
     [](int64_t n, uint64_t seed) {
       std::vector<float> row = normal_row(n, 3, seed);
       std::sort(row.begin(), row.end());
       return row;
     }},
    {"peak",
     [](int64_t n, uint64_t seed) {
       std::vector<float> row = normal_row(n, 3, seed);
       row[seed % row.size()] = 40;
       return row;
     }},
    {"close to zero",  // every difference is tiny beside some other one
     [](int64_t n, uint64_t seed) {
       std::vector<float> row(static_cast<size_t>(n));
       for (size_t i = 0; i < row.size(); ++i)
         row[i] = -std::ldexp(1.0f, static_cast<int>(mix64(seed + i) % 140) - 130);
       return row;
     }},
    {"extremes",
     [](int64_t n, uint64_t seed) {
       std::vector<float> row = normal_row(n, 1, seed);
       row[mix64(seed) % row.size()] = FLT_MAX;
       row[mix64(seed + 1) % row.size()] = -FLT_MAX;
       return row;
     }},
};

void expect_reference(const Kind& kind, int64_t size, uint64_t round) {
  auto pick = [&, n = uint64_t{0}](auto... values) mutable {
    const double list[] = {static_cast<double>(values)...};
    return list[mix64(mix64(round + 1) + ++n) % (sizeof...(values))];
  };
  const std::vector<float> logits = kind.row(size, round);
  const int64_t choosable = size > 4 ? size - 3 : size;
  AnswerOptions o;
  o.sampling.temperature = pick(0, 0.3, 1, 1, 1.7, 20, 1e-40, 1e-320, kHuge, 1e5);
  o.sampling.top_k = static_cast<int>(pick(0, 0, 0, 1, 5, 64, 1000, 1025, 5000, 100'000, INT32_MAX));
  o.sampling.top_p = pick(1, 1, 0.95, 0.95, 0.5, 0.999999, 1 - 1e-16, 1e-320, 0.1);
  o.sampling.min_p = pick(0, 0, 0, 0.05, 1e-6, 1, 1e-320);
  o.sampling.seed = round;
  History history;
  std::vector<int32_t> stop_ids;
  const auto some = [&](uint64_t salt) {
    return static_cast<int32_t>(mix64(round * 977 + salt) % static_cast<uint64_t>(size));
  };
  if (pick(0, 0, 1) == 1) {
    o.sampling.repetition_penalty = pick(1, 1.2, 0.7, 1e-30, 1e30);
    o.sampling.presence_penalty = pick(0, 0.5, -1, kHuge, -kHuge);
    o.sampling.frequency_penalty = pick(0, 0.1, -0.1, kHuge, -kHuge);
    for (uint64_t i = 0; i < 200; ++i) history.prompt.push_back(some(i)), history.answer.push_back(some(i * i % 91));
  }
  if (pick(0, 0, 1) == 1) {
    std::set<int32_t> biased;
    for (uint64_t i = 0; i < 20; ++i)
      if (biased.insert(some(1000 + i)).second)
        o.logit_bias.emplace_back(some(1000 + i), static_cast<float>(pick(-100, 100, 2, -2, FLT_MAX)));
  }
  if (pick(0, 1) == 1 && size > 40)
    for (uint64_t i = 0; i < 5; ++i) o.banned_ids.push_back(some(2000 + i)), stop_ids.push_back(some(3000 + i));
  o.min_tokens = static_cast<int64_t>(pick(0, 200, 201));

  Sampler sampler(o, choosable, size, stop_ids);
  sampler.add_prompt(history.prompt);
  for (int32_t id : history.answer) sampler.accept(id);
  const Reference reference(o, logits, choosable, history, stop_ids);
  for (int64_t position = 0; position < 20; ++position)
    ASSERT_EQ(sampler.choose(logits, position).id, reference.draw(round, position))
        << kind.name << ", " << size << " ids, round " << round << ", position " << position << ", temperature "
        << o.sampling.temperature << ", top-k " << o.sampling.top_k << ", top-p " << o.sampling.top_p << ", min-p "
        << o.sampling.min_p << ", kept " << reference.kept.size();
}

TEST(SamplerReference, SmallRows) {
  uint64_t round = 0;
  for (const Kind& kind : kKinds)
    for (int64_t size : {1, 2, 3, 7, 63, 64, 65, 200, 1100, 5000})
      for (int i = 0; i < 60; ++i) expect_reference(kind, size, ++round);
}

TEST(SamplerReference, RowsOfAWholeVocabulary) {
  uint64_t round = 100'000;
  for (const Kind& kind : kKinds)
    for (int i = 0; i < 8; ++i) expect_reference(kind, kVocab, ++round);
}

// ---- Choices ----

TEST(Sampler, ZeroTemperatureIsTheFirstOfTheLikeliest) {
  EXPECT_EQ(choose_once(greedy(), {1, 3, 3, 2}), 1);
  EXPECT_EQ(choose_once({.temperature = 5, .top_k = 1}, {1, 3, 3, 2}), 1);
  std::vector<float> logits(1000, -2);
  logits[999] = logits[700] = 0;
  EXPECT_EQ(choose_once(greedy(), logits), 700);
}

TEST(Sampler, IdsBeyondTheChoosableAreNeverChosen) {
  const std::vector<float> logits{1, 3, 30, 20};
  EXPECT_EQ(Sampler(options_of(greedy()), 2, 4, {}).choose(logits, 0).id, 1);
  Sampler drawing(options_of(plain()), 2, 4, {});
  for (int i = 0; i < 100; ++i) EXPECT_LT(drawing.choose(logits, i).id, 2);
  AnswerOptions o = options_of(greedy());
  o.logit_bias = {{2, 100.0f}};
  EXPECT_EQ(Sampler(o, 2, 4, {}).choose(logits, 0).id, 1);
}

std::set<int32_t> chosen(const Sampling& s, const std::vector<float>& logits) {
  Sampler sampler = sampler_of(options_of(s), logits.size());
  std::set<int32_t> ids;
  for (int i = 0; i < 2000; ++i) ids.insert(sampler.choose(logits, i).id);
  return ids;
}

TEST(Sampler, TopKKeepsTheBest) {
  EXPECT_EQ(chosen({.temperature = 1, .top_k = 2, .top_p = 1}, {1, 4, 3, 2}), (std::set<int32_t>{1, 2}));
  EXPECT_EQ(chosen({.temperature = 9, .top_k = 3, .top_p = 1}, {2, 4, 2, 2}), (std::set<int32_t>{0, 1, 2}));
}

// HF keeps the smallest set whose mass reaches top_p.
TEST(Sampler, TopPKeepsTheSmallestHead) {
  const std::vector<float> logits{std::log(5.0f), std::log(3.0f), std::log(2.0f)};
  for (int top_k : {0, 3})
    for (const auto& [top_p, kept] : std::map<double, size_t>{{0.49, 1}, {0.6, 2}, {0.81, 3}, {1e-9, 1}})
      EXPECT_EQ(chosen({.temperature = 1, .top_k = top_k, .top_p = top_p}, logits).size(), kept)
          << top_k << " " << top_p;
}

TEST(Sampler, MinPCutsRelativeToTheBest) {
  const std::vector<float> logits{std::log(5.0f), std::log(3.0f), std::log(2.0f)};
  for (int top_k : {0, 3})
    EXPECT_EQ(chosen({.temperature = 1, .top_k = top_k, .top_p = 1, .min_p = 0.5}, logits).size(), 2u);
}

TEST(Sampler, ExtremeTemperaturesAreRight) {
  std::vector<float> logits = normal_row(5000, 3, 1);
  const auto best = static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  for (double temperature : {1e-6, 1e-40, 1e-300, 1e-308, 1e-320, 5e-324})
    for (int top_k : {0, 64, 2000})
      for (double top_p : {1.0, 0.95})
        for (int position = 0; position < 20; ++position)
          EXPECT_EQ(choose_once({.temperature = temperature, .top_k = top_k, .top_p = top_p}, logits, position), best)
              << temperature;
  // So hot that all ids are alike: each half gets its half.
  for (double temperature : {1e9, 1e40, 1e300, DBL_MAX}) {
    Sampler sampler = sampler_of(options_of({.temperature = temperature, .top_k = 0, .top_p = 1}), logits.size());
    int lower = 0;
    for (int i = 0; i < 1000; ++i) lower += sampler.choose(logits, i).id < 2500;
    EXPECT_NEAR(lower, 500, 70) << temperature;
  }
}

// ---- Penalties, bias, bans ----

struct Adjusting : AnswerOptions {
  Adjusting() { sampling = greedy(); }
  History history;
  int32_t choose(const std::vector<float>& logits, const std::vector<int32_t>& stops = {}) const {
    Sampler sampler = sampler_of(*this, logits.size(), stops);
    sampler.add_prompt(history.prompt);
    for (int32_t id : history.answer) sampler.accept(id);
    return sampler.choose(logits, 0).id;
  }
};

TEST(SamplerPenalties, RepetitionDividesPositiveAndMultipliesNegativeOnce) {
  Adjusting a;
  a.sampling.repetition_penalty = 2;
  a.history.prompt = {0, 0, 5000, -1};
  EXPECT_EQ(a.choose({3, 2}), 1);       // 1.5 < 2
  EXPECT_EQ(a.choose({-1, -1.5f}), 1);  // -2 < -1.5
  EXPECT_EQ(a.choose({5, 2}), 0);       // once: 2.5
  a.history.answer = {0, 0};
  EXPECT_EQ(a.choose({5, 2}), 0);
  a.history = {{}, {0}};
  EXPECT_EQ(a.choose({3, 2}), 1);  // of the answer too
}

TEST(SamplerPenalties, PresenceCountsTheAnswerOnce) {
  Adjusting a;
  a.sampling.presence_penalty = 1.5;
  a.history = {{0, 0}, {}};
  EXPECT_EQ(a.choose({3, 2}), 0);  // not the prompt
  a.history.answer = {0};
  EXPECT_EQ(a.choose({3, 2}), 1);
  a.history.answer = {0, 0, 0};
  EXPECT_EQ(a.choose({3, 1.25f}), 0);
  a.sampling.presence_penalty = -1.5;
  EXPECT_EQ(a.choose({3, 4.25f}), 0);
}

TEST(SamplerPenalties, FrequencyCountsEachTime) {
  Adjusting a;
  a.sampling.frequency_penalty = 0.5;
  a.history = {{0, 0, 0, 0}, {0}};
  EXPECT_EQ(a.choose({3, 2.25f}), 0);
  a.history.answer = {0, 0};
  EXPECT_EQ(a.choose({3, 2.25f}), 1);
}

TEST(SamplerPenalties, OverflowingOnesStayOrdered) {
  Adjusting a;
  a.sampling.repetition_penalty = 1e30;
  a.history = {{0, 1}, {0, 1, 1}};
  EXPECT_EQ(a.choose({-1e30f, -1e30f, -1}), 2);
  a.sampling.presence_penalty = a.sampling.frequency_penalty = kHuge;
  EXPECT_EQ(a.choose({-1, 1, -1}), 2);
  a.sampling.presence_penalty = a.sampling.frequency_penalty = -kHuge;
  EXPECT_EQ(a.choose({-1, -1, -1}), 0);
  for (double temperature : {1e-320, 1.0, kHuge}) {
    a.sampling = {
        .temperature = temperature, .top_k = 0, .top_p = 0.9, .repetition_penalty = 1e-30, .frequency_penalty = -kHuge};
    EXPECT_NE(a.choose({1, 1, 1}), -1);
  }
}

TEST(SamplerBias, IsAddedAfterPenalties) {
  Adjusting a;
  a.logit_bias = {{0, -2.0f}};
  EXPECT_EQ(a.choose({3, 2}), 1);
  a.sampling.repetition_penalty = 2;
  a.history.prompt = {0};
  a.logit_bias = {{0, 1.0f}};
  EXPECT_EQ(a.choose({4, 2.75f}), 0);  // 4 / 2 + 1, not (4 + 1) / 2
}

TEST(SamplerBans, AreNeverChosen) {
  Adjusting a;
  a.banned_ids = {1};
  a.logit_bias = {{1, 100.0f}};
  EXPECT_EQ(a.choose({1, 9, 3}), 2);
  a.sampling = {.temperature = kHuge, .top_k = 0, .top_p = 1};
  for (const Sampling& s : {plain(), Sampling{.temperature = kHuge, .top_k = 0, .top_p = 1},
                            Sampling{.temperature = kHuge, .top_k = 3, .top_p = 0.9}}) {
    a.sampling = s;
    Sampler sampler = sampler_of(a, 3);
    for (int i = 0; i < 500; ++i) EXPECT_NE(sampler.choose(std::vector<float>{1, 9, 3}, i).id, 1);
  }
  a.banned_ids = {0, 1, 2};
  EXPECT_THAT(testing::error_of(ErrorCode::kInvalidArgument,
                                [&] {
                                  a.choose({1, 9, 3});
                                }),
              HasSubstr("every id is banned"));
}

TEST(SamplerBans, StopIdsUntilThereAreMinTokens) {
  Adjusting a;
  a.min_tokens = 2;
  const std::vector<float> logits{1, 9, 3};
  EXPECT_EQ(a.choose(logits, {1}), 2);
  EXPECT_EQ(a.choose(logits, {1, 7, 2}), 0);
  a.history.prompt = {0, 0, 0};
  a.history.answer = {0};
  EXPECT_EQ(a.choose(logits, {1}), 2);
  a.history.answer = {0, 0};
  EXPECT_EQ(a.choose(logits, {1}), 1);
}

// ---- Log-probabilities ----

TEST(SamplerLogprobs, AreThoseOfTheModelOverTheWholeRow) {
  for (int64_t size : {3, 64, 1001, static_cast<int>(kVocab)}) {
    std::vector<float> logits = normal_row(size, 3, 9);
    logits[1] = logits[2] = 14;  // equal ones: by id
    AnswerOptions o = options_of({.temperature = 0.5, .top_k = 0, .top_p = 0.9, .repetition_penalty = 1.5});
    o.logprobs = 20;
    o.banned_ids = {1};
    o.logit_bias = {{0, 50.0f}};
    Sampler sampler(o, size - 1, size, {});
    sampler.add_prompt(std::vector<int32_t>{2});
    const Choice choice = sampler.choose(logits, 0);
    EXPECT_EQ(choice.id, 0);
    long double total = 0;
    for (float x : logits) total += std::exp(static_cast<long double>(x));
    const auto want = [&](int32_t id) {
      return static_cast<double>(logits[static_cast<size_t>(id)] - std::log(total));
    };
    EXPECT_NEAR(choice.logprob, want(0), 1e-6 * std::fabs(want(0)) + 1e-7);
    std::vector<int32_t> order(static_cast<size_t>(size));
    for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int32_t>(i);
    std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return logits[a] > logits[b]; });
    ASSERT_EQ(choice.top.size(), std::min<size_t>(20, order.size()));
    for (size_t i = 0; i < choice.top.size(); ++i) {
      EXPECT_EQ(choice.top[i].first, order[i]);
      EXPECT_NEAR(choice.top[i].second, want(order[i]), 1e-6 * std::fabs(want(order[i])) + 1e-7);
    }
  }
}

TEST(SamplerLogprobs, OnlyWhereAsked) {
  const std::vector<float> logits{0, 0, -1000};
  AnswerOptions o = options_of(greedy());
  EXPECT_EQ(sampler_of(o, 3).choose(logits, 0).logprob, 0);
  o.logprobs = 0;
  const Choice choice = sampler_of(o, 3).choose(logits, 0);
  EXPECT_NEAR(choice.logprob, -std::log(2), 1e-7);
  EXPECT_TRUE(choice.top.empty());
}

TEST(SamplerLogprobs, TheChoiceIsTheSameWithAndWithout) {
  const std::vector<float> logits = normal_row(3000, 2, 4);
  AnswerOptions without = options_of(plain()), with = without;
  with.logprobs = 5;
  Sampler a = sampler_of(without, 3000), b = sampler_of(with, 3000);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(a.choose(logits, i).id, b.choose(logits, i).id);
}

// ---- What is refused ----

TEST(SamplerErrors, RowsThatAreNotFinite) {
  for (float bad : {NAN, INFINITY, -INFINITY})
    for (size_t at : {0, 5, 63, 64, 99})
      for (const Sampling& s : {greedy(), plain(), Sampling{}}) {
        std::vector<float> logits(100, 1.0f);
        logits[at] = bad;
        const std::string value = std::isnan(bad) ? "nan" : bad > 0 ? "inf" : "-inf";
        EXPECT_THAT(testing::error_of(ErrorCode::kBadFile, [&] { choose_once(s, logits, 17); }),
                    AllOf(HasSubstr("the logits of position 17 are not finite (" + value + " at id " +
                                    std::to_string(at) + ")"),
                          HasSubstr("g3n trace")));
        AnswerOptions banned = options_of(s);
        banned.banned_ids = {static_cast<int32_t>(at)};
        EXPECT_NE(testing::error_of(ErrorCode::kBadFile, [&] { sampler_of(banned, 100).choose(logits, 17); }), "");
      }
}

TEST(SamplerErrors, WhatIsNeverChosenMayBeAnythingUnlessItIsReported) {
  std::vector<float> logits{1, 2, NAN, -INFINITY};
  AnswerOptions o = options_of(greedy());
  EXPECT_EQ(Sampler(o, 2, 4, {}).choose(logits, 0).id, 1);
  o.logprobs = 1;
  EXPECT_THAT(testing::error_of(ErrorCode::kBadFile, [&] { Sampler(o, 2, 4, {}).choose(logits, 0); }),
              HasSubstr("nan at id 2"));
  logits[2] = -INFINITY;
  EXPECT_NEAR(Sampler(o, 2, 4, {}).choose(logits, 0).logprob, -std::log(1 + std::exp(-1)), 1e-6);
}

TEST(SamplerErrors, IdsOutsideTheVocabularyAreNamed) {
  for (int32_t id : {-1, 4, 5000}) {
    AnswerOptions bias = options_of(plain()), bans = bias;
    bias.logit_bias = {{0, 1.0f}, {id, 1.0f}};
    bans.banned_ids = {0, id};
    for (const AnswerOptions& o : {bias, bans})
      EXPECT_THAT(testing::error_of(ErrorCode::kInvalidArgument, [&] { sampler_of(o, 4); }),
                  HasSubstr(std::to_string(id)));
  }
}

TEST(SamplerErrors, BadSamplingIsNamed) {
  const auto message = [](const Sampling& s) {
    return testing::error_of(ErrorCode::kInvalidArgument, [&] { check_sampling(s); });
  };
  for (double bad : {-1.0, static_cast<double>(NAN), static_cast<double>(INFINITY)})
    EXPECT_THAT(message({.temperature = bad}), HasSubstr("temperature"));
  EXPECT_THAT(message({.top_k = -1}), HasSubstr("top-k"));
  for (double bad : {0.0, 1.1, static_cast<double>(NAN)}) EXPECT_THAT(message({.top_p = bad}), HasSubstr("top-p"));
  for (double bad : {-0.1, 2.0, static_cast<double>(NAN)}) EXPECT_THAT(message({.min_p = bad}), HasSubstr("min-p"));
  for (double bad : {0.0, -1.0, 1e-320, 1e-31, 1e31, static_cast<double>(NAN), static_cast<double>(INFINITY)})
    EXPECT_THAT(message({.repetition_penalty = bad}), HasSubstr("repetition-penalty"));
  for (double bad : {static_cast<double>(NAN), static_cast<double>(INFINITY)}) {
    EXPECT_THAT(message({.presence_penalty = bad}), HasSubstr("presence-penalty"));
    EXPECT_THAT(message({.frequency_penalty = bad}), HasSubstr("frequency-penalty"));
  }
  EXPECT_NO_THROW(check_sampling({}));
  EXPECT_NO_THROW(check_sampling({.temperature = 1e-320, .presence_penalty = -2, .frequency_penalty = 2}));
}

TEST(SamplerErrors, BadAnswerOptionsAreNamed) {
  const auto message = [](auto change) {
    AnswerOptions o;
    change(o);
    return testing::error_of(ErrorCode::kInvalidArgument, [&] { check_answer_options(o); });
  };
  AnswerOptions good;
  good.logprobs = 20, good.logit_bias = {{3, -100.0f}};
  EXPECT_NO_THROW(check_answer_options(good));
  EXPECT_THAT(message([](AnswerOptions& o) { o.sampling.top_k = -1; }), HasSubstr("top-k"));
  EXPECT_THAT(message([](AnswerOptions& o) { o.max_tokens = -2; }), HasSubstr("max-tokens"));
  EXPECT_THAT(message([](AnswerOptions& o) { o.min_tokens = -1; }), HasSubstr("min-tokens"));
  EXPECT_THAT(message([](AnswerOptions& o) { o.stop = {"a", ""}; }), HasSubstr("stop"));
  EXPECT_THAT(message([](AnswerOptions& o) { o.stop_ids = {-7}; }), HasSubstr("-7"));
  EXPECT_THAT(message([](AnswerOptions& o) { o.extra_stop_ids = {-7}; }), HasSubstr("-7"));
  EXPECT_THAT(message([](AnswerOptions& o) { o.banned_ids = {-7}; }), HasSubstr("-7"));
  EXPECT_THAT(message([](AnswerOptions& o) { o.logit_bias = {{-7, 1.0f}}; }), HasSubstr("-7"));
  EXPECT_THAT(message([](AnswerOptions& o) { o.logit_bias = {{7, NAN}}; }), AllOf(HasSubstr("id 7"), HasSubstr("nan")));
  EXPECT_THAT(message([](AnswerOptions& o) {
                o.logit_bias = {{7, 1.0f}, {8, 1.0f}, {7, 2.0f}};
              }),
              HasSubstr("each token id once"));
  EXPECT_THAT(message([](AnswerOptions& o) { o.logprobs = 21; }), HasSubstr("logprobs"));
  EXPECT_THAT(message([](AnswerOptions& o) { o.logprobs = -2; }), HasSubstr("logprobs"));
}

// ---- The arithmetic ----

TEST(ScoreRow, WeightsAreExp) {
  for (double inverse : {1.0, 0.37, 5.0}) {
    float scores[kScoreBlock], weights[kScoreBlock];
    for (int round = 0; round < 500; ++round) {
      for (int i = 0; i < kScoreBlock; ++i)
        scores[i] =
            static_cast<float>(30 - 75 / inverse * uniform01(3, static_cast<uint64_t>(round * kScoreBlock + i)));
      block_weights(scores, 30, inverse, weights);
      for (int i = 0; i < kScoreBlock; ++i) {
        const double want = std::exp((static_cast<double>(scores[i]) - 30) * inverse);
        ASSERT_NEAR(weights[i], want, (3e-7 - 6e-8 * std::log(want)) * want)
            << scores[i];  // log: its rounding to float
        ASSERT_EQ(weights[i], score_weight(scores[i], 30, inverse));
      }
    }
  }
  EXPECT_EQ(score_weight(3, 3, 7), 1);
  EXPECT_LT(score_weight(-INFINITY, 3, 1), 1e-34f);
  EXPECT_LT(score_weight(2, 3, DBL_MAX), 1e-34f);
}

TEST(ScoreRow, PeaksLowestAndSum) {
  for (int64_t size : {1, 7, 8, 63, 64, 65, 129, 1000}) {
    const std::vector<float> row = normal_row(size, 2, static_cast<uint64_t>(size));
    std::vector<float> peaks;
    const RowPeak peak = find_peaks(row, peaks);
    EXPECT_EQ(peak.max, *std::max_element(row.begin(), row.end()));
    EXPECT_TRUE(peak.finite);
    ASSERT_EQ(static_cast<int64_t>(peaks.size()), score_blocks(size));
    for (int64_t b = 0; b < score_blocks(size); ++b)
      EXPECT_EQ(peaks[b], *std::max_element(row.begin() + b * 64, row.begin() + std::min<int64_t>(size, (b + 1) * 64)));
    EXPECT_EQ(lowest_score(row, peak.max), *std::min_element(row.begin(), row.end()));
    double sum = 0;
    for (float x : row) sum += std::exp(static_cast<double>(x) - peak.max);
    EXPECT_NEAR(sum_of_exp(row, peak.max), sum, 3e-10 * sum);
    for (size_t at = 0; at < row.size(); ++at) {
      std::vector<float> broken = row;
      broken[at] = NAN;
      EXPECT_FALSE(find_peaks(broken, peaks).finite);
      broken[at] = -INFINITY;
      EXPECT_FALSE(find_peaks(broken, peaks).finite);
      EXPECT_GT(lowest_score(broken, peak.max), -INFINITY);
    }
  }
}

}  // namespace
}  // namespace g3n
