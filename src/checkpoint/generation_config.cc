#include "checkpoint/generation_config.h"

#include <string>

#include "g3n/error.h"

namespace g3n {

GenerationConfig GenerationConfig::load(const FileSet& files, const Config& top) {
  const std::string name = "generation_config.json", path = files.path(name);
  const Config c = files.has(name) ? Config::parse(std::string(files.text(name)), path) : Config::empty(path);
  GenerationConfig g;
  g.sampling.temperature = c.number("temperature", g.sampling.temperature);
  g.sampling.top_k = static_cast<int>(c.integer("top_k", g.sampling.top_k, 0, INT32_MAX));
  g.sampling.top_p = c.number("top_p", g.sampling.top_p);
  g.sampling.min_p = c.number("min_p", g.sampling.min_p);
  g.sampling.repetition_penalty = c.number("repetition_penalty", g.sampling.repetition_penalty);
  if (!c.boolean("do_sample", true)) g.sampling.temperature = 0;
  try {
    check_sampling(g.sampling);
  } catch (const Error& e) {
    throw Error(ErrorCode::kBadFile, path + ": " + e.what());
  }
  std::vector<int64_t> stops = c.integers("eos_token_id", /*scalar_ok=*/true);
  if (stops.empty()) stops = top.integers("eos_token_id", /*scalar_ok=*/true);
  if (stops.empty()) stops = {1, 106};
  for (int64_t id : stops) {
    if (id < 0 || id > INT32_MAX) c.fail("eos_token_id", "a token id or a list of token ids");
    g.stop_ids.push_back(static_cast<int32_t>(id));
  }
  return g;
}

}  // namespace g3n
