#include "runtime/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "g3n/error.h"

namespace g3n {
namespace {

using ::testing::HasSubstr;

// Shares of each id over many positions.
std::map<int32_t, double> shares(const Sampling& sampling, const std::vector<float>& logits, int64_t choosable,
                                 const std::vector<int32_t>& history = {}) {
  Sampler sampler(sampling, choosable);
  std::map<int32_t, double> out;
  constexpr int kDraws = 20000;
  for (int i = 0; i < kDraws; ++i) out[sampler.choose(logits, history, i)] += 1.0 / kDraws;
  return out;
}

Sampling plain() { return {.temperature = 1, .top_k = 0, .top_p = 1}; }

TEST(Sampler, FollowsTheSoftmax) {
  const auto got = shares(plain(), {0.0f, std::log(2.0f), std::log(5.0f)}, 3);
  EXPECT_NEAR(got.at(0), 1.0 / 8, 0.01);
  EXPECT_NEAR(got.at(1), 2.0 / 8, 0.01);
  EXPECT_NEAR(got.at(2), 5.0 / 8, 0.01);
}

TEST(Sampler, TemperatureSharpens) {
  Sampling s = plain();
  s.temperature = 0.5;
  EXPECT_NEAR(shares(s, {0.0f, std::log(2.0f)}, 2).at(1), 0.8, 0.01);
}

TEST(Sampler, ZeroTemperatureIsTheFirstOfTheLikeliest) {
  Sampling s = plain();
  s.temperature = 0;
  EXPECT_EQ(Sampler(s, 4).choose(std::vector<float>{1, 3, 3, 2}, {}, 0), 1);
}

TEST(Sampler, IdsBeyondTheChoosableAreNeverChosen) {
  Sampling s = plain();
  s.temperature = 0;
  EXPECT_EQ(Sampler(s, 2).choose(std::vector<float>{1, 3, 30, 20}, {}, 0), 1);
  EXPECT_EQ(shares(plain(), {0, 0, 50}, 2).count(2), 0u);
}

TEST(Sampler, TopKKeepsTheBest) {
  Sampling s = plain();
  s.top_k = 2;
  const auto got = shares(s, {1, 4, 3, 2}, 4);
  EXPECT_EQ(got.size(), 2u);
  EXPECT_EQ(got.count(1) + got.count(2), 2u);
}

// HF keeps the smallest set whose mass reaches top_p.
TEST(Sampler, TopPKeepsTheSmallestHead) {
  const std::vector<float> logits{std::log(5.0f), std::log(3.0f), std::log(2.0f)};
  Sampling s = plain();
  s.top_p = 0.49;
  EXPECT_EQ(shares(s, logits, 3).size(), 1u);
  s.top_p = 0.6;
  EXPECT_EQ(shares(s, logits, 3).size(), 2u);
  s.top_p = 0.81;
  EXPECT_EQ(shares(s, logits, 3).size(), 3u);
}

TEST(Sampler, MinPCutsRelativeToTheBest) {
  Sampling s = plain();
  s.min_p = 0.5;
  EXPECT_EQ(shares(s, {std::log(5.0f), std::log(3.0f), std::log(2.0f)}, 3).size(), 2u);
}

TEST(Sampler, RepetitionPenaltyDividesPositiveAndMultipliesNegative) {
  Sampling s = plain();
  s.temperature = 0;
  s.repetition_penalty = 2;
  const std::vector<int32_t> history{0, 0, 5000};
  EXPECT_EQ(Sampler(s, 2).choose(std::vector<float>{3, 2}, history, 0), 1);       // 1.5 < 2
  EXPECT_EQ(Sampler(s, 2).choose(std::vector<float>{-1, -1.5f}, history, 0), 1);  // -2 < -1.5
  EXPECT_EQ(Sampler(s, 2).choose(std::vector<float>{5, 2}, history, 0), 0);
}

TEST(Sampler, TheDrawIsAFunctionOfSeedAndPosition) {
  const std::vector<float> logits(100, 0.0f);
  Sampling s = plain();
  s.seed = 7;
  Sampler a(s, 100), b(s, 100);
  std::vector<int32_t> forward, backward(50);
  for (int i = 0; i < 50; ++i) forward.push_back(a.choose(logits, {}, i));
  for (int i = 49; i >= 0; --i) backward[i] = b.choose(logits, {}, i);
  EXPECT_EQ(forward, backward);
  s.seed = 8;
  Sampler c(s, 100);
  std::vector<int32_t> other;
  for (int i = 0; i < 50; ++i) other.push_back(c.choose(logits, {}, i));
  EXPECT_NE(forward, other);
}

TEST(Sampler, BadValuesAreNamed) {
  auto error_of = [](const Sampling& s) -> std::string {
    try {
      check_sampling(s);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_THAT(error_of({.temperature = -1}), HasSubstr("temperature"));
  EXPECT_THAT(error_of({.temperature = NAN}), HasSubstr("temperature"));
  EXPECT_THAT(error_of({.top_k = -1}), HasSubstr("top-k"));
  EXPECT_THAT(error_of({.top_p = 0}), HasSubstr("top-p"));
  EXPECT_THAT(error_of({.top_p = 1.1}), HasSubstr("top-p"));
  EXPECT_THAT(error_of({.min_p = 2}), HasSubstr("min-p"));
  EXPECT_THAT(error_of({.repetition_penalty = 0}), HasSubstr("repetition-penalty"));
}

}  // namespace
}  // namespace g3n
