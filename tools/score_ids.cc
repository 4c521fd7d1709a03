// score_ids MODEL COUNT ID...: the log-probability of each of the last COUNT ids behind those before them, from the
// rows of Engine::logits, in double: what tests of scoring compare with.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <vector>

#include "g3n/engine.h"

int main(int argc, char** argv) try {
  if (argc < 4) return std::fprintf(stderr, "usage: score_ids MODEL COUNT ID...\n"), 2;
  g3n::EngineOptions options;
  options.model = argv[1];
  const auto engine = g3n::Engine::open(options);
  const long count = std::atol(argv[2]);
  g3n::IdsPrompt prompt;
  for (int i = 3; i < argc; ++i) prompt.ids.push_back(std::atoi(argv[i]));
  const auto ids = prompt.ids;
  std::vector<std::int64_t> positions;
  for (auto p = static_cast<std::int64_t>(ids.size()) - count - 1; p + 1 < static_cast<std::int64_t>(ids.size()); ++p)
    positions.push_back(p);
  engine->logits(engine->prepare(prompt), positions, [&](std::int64_t position, std::span<const float> row) {
    const std::size_t next = static_cast<std::size_t>(position) + 1;
    double largest = -INFINITY, sum = 0;
    for (const float logit : row) largest = std::fmax(largest, static_cast<double>(logit));
    for (const float logit : row) sum += std::exp(static_cast<double>(logit) - largest);
    std::printf("%.9g\n", static_cast<double>(row[static_cast<std::size_t>(ids[next])]) - largest - std::log(sum));
  });
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "score_ids: %s\n", error.what());
  return 1;
}
