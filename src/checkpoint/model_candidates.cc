#include "checkpoint/model_candidates.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <map>
#include <optional>
#include <set>

#include "core/ascii.h"
#include "core/printable.h"

namespace g3n {
namespace {

namespace fs = std::filesystem;

bool is_alnum(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; }

struct Shard {
  std::string model;  // the name without its number
  int number, count;
};

// Of "model-00002-of-00004.gguf".
std::optional<Shard> shard_of(const std::string& name) {
  constexpr size_t kSuffix = sizeof "-00001-of-00002.gguf" - 1;
  if (name.size() <= kSuffix) return {};
  const std::string suffix = name.substr(name.size() - kSuffix);
  Shard shard{name.substr(0, name.size() - kSuffix), 0, 0};
  int end = 0;
  if (std::sscanf(suffix.c_str(), "-%5d-of-%5d.gguf%n", &shard.number, &shard.count, &end) != 2 ||
      end != static_cast<int>(kSuffix) || shard.number < 1 || shard.count < 1 || shard.number > shard.count)
    return {};
  return shard;
}

bool is_model_file(const std::string& file_name) {
  const std::string name = ascii_lower(file_name);
  return name.ends_with(".g3n") || (name.ends_with(".gguf") && name.find("mmproj") == std::string::npos &&
                                    name.find("imatrix") == std::string::npos);
}

void collect(const fs::path& folder, const std::string& prefix, std::vector<std::string>* names) {
  std::error_code reason, ignored;
  for (fs::directory_iterator it(folder, reason), end; !reason && it != end; it.increment(reason)) {
    const std::string name = it->path().filename().string();
    if (name.starts_with(".")) continue;
    if (prefix.empty() && fs::is_directory(it->path(), ignored))
      collect(it->path(), name + "/", names);
    else if (is_model_file(name) && fs::is_regular_file(it->path(), ignored))
      names->push_back(prefix + name);
  }
}

// A word begins and ends where no letter or digit goes on; it ends before no '_' either, since Q4_K_M is one word.
bool holds_word(const std::string& text, const std::string& word) {
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
    const size_t end = at + word.size();
    if ((at == 0 || !is_alnum(text[at - 1])) && (end == text.size() || (!is_alnum(text[end]) && text[end] != '_')))
      return true;
  }
  return false;
}

}  // namespace

std::vector<ModelCandidate> model_candidates(const std::string& folder) {
  std::vector<std::string> names;
  collect(folder, "", &names);
  std::sort(names.begin(), names.end());
  std::vector<ModelCandidate> all;
  std::map<std::pair<std::string, int>, size_t> split;  // model and count: its place in all
  for (const std::string& name : names) {
    std::error_code ignored;
    const auto bytes = static_cast<int64_t>(fs::file_size(fs::path(folder) / name, ignored));
    const std::optional<Shard> shard = shard_of(name);
    if (!shard) {
      all.push_back({name, bytes, 0});
      continue;
    }
    const auto [found, is_new] = split.try_emplace({shard->model, shard->count}, all.size());
    if (is_new) all.push_back({name, 0, shard->count});
    all[found->second].bytes += bytes;
    --all[found->second].lacking;
  }
  return all;
}

std::vector<ModelCandidate> mmproj_candidates(const std::string& folder) {
  std::vector<ModelCandidate> all;
  std::error_code reason, ignored;
  for (fs::directory_iterator it(folder, reason), end; !reason && it != end; it.increment(reason)) {
    const std::string name = it->path().filename().string(), lowered = ascii_lower(name);
    if (lowered.ends_with(".gguf") && lowered.find("mmproj") != std::string::npos && !name.starts_with(".") &&
        fs::is_regular_file(it->path(), ignored))
      all.push_back({name, static_cast<int64_t>(fs::file_size(it->path(), ignored)), 0});
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return all;
}

std::vector<ModelCandidate> candidates_of(const std::vector<ModelCandidate>& all, const std::string& pick) {
  std::vector<ModelCandidate> fitting;
  for (const ModelCandidate& candidate : all)
    if (candidate.name == pick || fs::path(candidate.name).filename() == pick) return {candidate};
  for (const ModelCandidate& candidate : all)
    if (!pick.empty() && holds_word(ascii_lower(candidate.name), ascii_lower(pick))) fitting.push_back(candidate);
  return fitting;
}

std::string list_candidates(const std::vector<ModelCandidate>& candidates) {
  std::string text;
  for (const ModelCandidate& candidate : candidates) {
    text += (text.empty() ? "" : ", ") + candidate.name + " (" + format_bytes(candidate.bytes);
    if (candidate.lacking) text += ", " + std::to_string(candidate.lacking) + " of its shards missing";
    text += ")";
  }
  return text;
}

}  // namespace g3n
