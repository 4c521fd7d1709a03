// generation_config.json: how the checkpoint's makers want answers sampled, and which ids end one (processor.md 8).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/file_set.h"
#include "json/config.h"
#include "g3n/options.h"

namespace g3n {

struct GenerationConfig {
  Sampling sampling;              // temperature 0 when the file says do_sample false
  std::vector<int32_t> stop_ids;  // eos_token_id

  // A folder without the file: temperature 1, top-k 64, top-p 0.95, stops 1 and 106. Keys missing from the file take
  // these, too; stop ids are then those of config.json, if it has any.
  static GenerationConfig load(const FileSet& files, const Config& top);
};

}  // namespace g3n
