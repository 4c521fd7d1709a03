// The model files (GGUF and .g3n) that lie in a folder, and the choice among them.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace g3n {

struct ModelCandidate {
  std::string
      name;  // in the folder: "model-Q4_K_M.gguf"; of a split file its first shard, "BF16/m-00001-of-00002.gguf"
  int64_t bytes = 0;  // of all shards
  int lacking = 0;    // shards that are not there
};

// Of the folder and of its folders (one level), by name. Links to what is not there are left out.
std::vector<ModelCandidate> model_candidates(const std::string& folder);

// The GGUF files of towers (mmproj) in the folder itself, by their names.
std::vector<ModelCandidate> mmproj_candidates(const std::string& folder);

// Those whose name is `pick` or holds it as a word: "q4_k_m" fits "x-Q4_K_M.gguf", "Q4_K" does not.
std::vector<ModelCandidate> candidates_of(const std::vector<ModelCandidate>& all, const std::string& pick);

// "a.gguf (4.2 GB), b.gguf (312 MB, 1 shard of 3 is missing)".
std::string list_candidates(const std::vector<ModelCandidate>& candidates);

}  // namespace g3n
