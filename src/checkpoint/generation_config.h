// generation_config.json: how the checkpoint's makers want answers sampled, and which ids end one (processor.md 8).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/file_set.h"
#include "g3n/options.h"

namespace g3n {

class Config;  // json/config.h

struct GenerationConfig {
  Sampling sampling;                    // temperature 0 when the file says do_sample false
  std::vector<int32_t> stop_ids;        // eos_token_id
  std::vector<std::string> warnings{};  // values that mean nothing, and what stands in for them

  // A folder without the file: temperature 1, top-k 64, top-p 0.95, stops 1 and 106. Keys missing from the file take
  // these, too; stop ids are then those of config.json, if it has any. Throws kBadFile for values of
  // another type; numbers out of range keep no model from loading: see set_sampling.
  static GenerationConfig load(const FileSet& files, const Config& top);
};

// Values of a file, as numbers; absent: the default.
struct SamplingKeys {
  std::optional<double> temperature, top_k, top_p, min_p, repetition_penalty;
};

// Takes them over. One that means nothing (top_p 0, a negative penalty) is warned about, and the value that has no
// effect stands in for it; top_k below 1 is "all", as others write it. where: of the warnings.
void set_sampling(const SamplingKeys& keys, const std::string& where, GenerationConfig& out);

}  // namespace g3n
