// Real weights, which this repository cannot hold: runs when G3N_MODEL names a checkpoint folder, else says that it did
// not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "g3n/engine.h"

namespace g3n::testing {
namespace {

// From transformers' integration tests (E2B-it, greedy, raw text): the same on every back end there.
TEST(RealModel, ContinuesAListOfColors) {
  const char* folder = std::getenv("G3N_MODEL");
  if (!folder) GTEST_SKIP() << "not run: real weights (set G3N_MODEL to a folder of google/gemma-3n-E2B-it)";
  EngineOptions options;
  options.model = folder;
  const auto engine = Engine::open(options);
  const Answer answer = engine->generate({.prompt = RawPrompt{"A list of colors: red, blue", {}},
                                          .options = {.sampling = {.temperature = 0}, .max_tokens = 20}});
  EXPECT_THAT(answer.text, ::testing::StartsWith(", green, yellow, orange, purple, pink, brown, black, white."));
}

}  // namespace
}  // namespace g3n::testing
