#include "checkpoint/hub_cache.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <set>

#include "checkpoint/folder_entries.h"
#include "checkpoint/model_candidates.h"
#include "core/ascii.h"
#include "core/file_kind.h"
#include "formats/shard_index.h"
#include "g3n/error.h"

namespace g3n {
namespace {

namespace fs = std::filesystem;

// models--org--name for org/name and back.
std::string folder_name(const std::string& id) {
  return "models--" + id.substr(0, id.find('/')) + "--" + id.substr(id.find('/') + 1);
}
std::string id_of(const std::string& folder) {
  const std::string rest = folder.substr(8);
  const size_t dashes = rest.find("--");
  return dashes == std::string::npos ? rest : rest.substr(0, dashes) + "/" + rest.substr(dashes + 2);
}

std::vector<std::string> entries(const fs::path& folder) {
  std::error_code ignored;
  return file_names(folder, ignored);
}

std::string trimmed(std::string text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.pop_back();
  return text;
}

// What a snapshot lacks to be used; empty when it is complete.
std::string what_is_missing(const fs::path& snapshot, const std::string& pick) {
  const std::vector<ModelCandidate> files = model_candidates(snapshot.string());
  if (!pick.empty()) {
    if (!candidates_of(files, pick).empty()) return "";
    return "a file named '" + pick + "'" + (files.empty() ? "" : ", it has " + list_candidates(files));
  }
  if (!files.empty()) return "";
  if (!is_there(snapshot / "config.json")) {
    const std::vector<ModelCandidate> towers = mmproj_candidates(snapshot.string());
    return towers.empty() ? "config.json"
                          : "a GGUF file of the text model, it has only vision and audio (for --mmproj): " +
                                list_candidates(towers);
  }
  if (is_there(snapshot / "model.safetensors")) return "";
  const fs::path index = snapshot / "model.safetensors.index.json";
  if (!is_there(index)) return "model.safetensors";
  std::string missing;
  try {
    for (const std::string& shard : shards_of_index(index.string()))
      if (!is_there(snapshot / shard)) missing += (missing.empty() ? "" : ", ") + shard;
  } catch (const Error& error) {
    missing = error.what();
  }
  return missing;
}

bool has_towers(const fs::path& snapshot, const std::string& pick) {
  const std::vector<ModelCandidate> files = mmproj_candidates(snapshot.string());
  return pick.empty() ? !files.empty() : !candidates_of(files, pick).empty();
}

struct Search {
  std::string found;       // a complete snapshot
  std::string incomplete;  // why others do not count
};

// The one that refs/main names first, then what was written last.
std::vector<fs::path> snapshots_of(const fs::path& model) {
  std::vector<std::string> order;
  try {
    order.push_back(trimmed(read_text_file((model / "refs" / "main").string(), 4096)));
  } catch (const Error&) {
  }
  std::vector<std::string> others = entries(model / "snapshots");
  std::error_code ignored;
  std::stable_sort(others.begin(), others.end(), [&](const std::string& a, const std::string& b) {
    return fs::last_write_time(model / "snapshots" / a, ignored) >
           fs::last_write_time(model / "snapshots" / b, ignored);
  });
  order.insert(order.end(), others.begin(), others.end());
  std::set<std::string> seen;
  std::vector<fs::path> snapshots;
  for (const std::string& hash : order)
    if (!hash.empty() && hash.find('/') == std::string::npos && seen.insert(hash).second &&
        is_there(model / "snapshots" / hash))
      snapshots.push_back(model / "snapshots" / hash);
  return snapshots;
}

Search search_model(const fs::path& model, const std::string& pick, HubContent wanted) {
  Search result;
  const std::vector<fs::path> snapshots = snapshots_of(model);
  if (wanted == HubContent::kTowers)
    for (const fs::path& snapshot : snapshots)
      if (has_towers(snapshot, pick)) return {.found = snapshot.string(), .incomplete = ""};
  for (const fs::path& snapshot : snapshots) {
    const std::string missing = what_is_missing(snapshot, pick);
    if (missing.empty()) {
      result.found = snapshot.string();
      return result;
    }
    const bool lacks_all = wanted == HubContent::kTowers && pick.empty();
    result.incomplete += (result.incomplete.empty() ? "" : "; ") + snapshot.string() + " lacks " +
                         (lacks_all ? "an mmproj file and " : "") + missing;
  }
  return result;
}

// Ids in the cache that share the name's beginning with `id`, for "did you mean".
bool is_similar(const std::string& id, const std::string& other) {
  const std::string a = ascii_lower(id.substr(id.find('/') + 1)), b = ascii_lower(other.substr(other.find('/') + 1));
  const size_t common =
      std::mismatch(a.begin(), a.begin() + static_cast<ptrdiff_t>(std::min(a.size(), b.size())), b.begin()).first -
      a.begin();
  return common >= 6 || b.find("gemma-3n") != std::string::npos;
}

}  // namespace

bool looks_like_hub_id(const std::string& text) {
  const size_t slash = text.find('/');
  if (slash == std::string::npos || slash == 0 || slash + 1 == text.size() ||
      text.find('/', slash + 1) != std::string::npos)
    return false;
  if (text[0] == '.' || text[0] == '~' || is_there(text)) return false;
  return std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return std::isalnum(c) || c == '-' || c == '_' || c == '.' || c == '/'; });
}

std::string resolve_hub_model(const std::string& id, const std::vector<std::string>& caches, const Log& log,
                              const std::string& pick, HubContent content) {
  const std::string wanted = folder_name(id);
  std::string incomplete, similar, searched;
  for (const std::string& cache : caches) {
    searched += (searched.empty() ? "" : ", ") + cache;
    std::vector<std::string> folders = entries(cache);
    // The exact name first, then names equal but for case.
    std::stable_sort(folders.begin(), folders.end(),
                     [&](const std::string& a, const std::string& b) { return (a == wanted) > (b == wanted); });
    for (const std::string& folder : folders) {
      if (!folder.starts_with("models--")) continue;
      if (ascii_lower(folder) != ascii_lower(wanted)) {
        if (is_similar(id, id_of(folder))) similar += (similar.empty() ? "" : ", ") + id_of(folder);
        continue;
      }
      const Search search = search_model(fs::path(cache) / folder, pick, content);
      if (!search.found.empty()) {
        if (folder != wanted) log.warn(id + ": using " + id_of(folder) + " from " + cache);
        return search.found;
      }
      if (!search.incomplete.empty()) incomplete += (incomplete.empty() ? "" : "; ") + search.incomplete;
    }
  }
  std::string message =
      id + ": no such folder, and not in the hub cache (" + (searched.empty() ? "none" : searched) + ")";
  if (!incomplete.empty()) message += "; incomplete: " + incomplete;
  if (!similar.empty()) message += "; in the cache: " + similar;
  message += "; fetch it with: hf download " + id;
  if (!pick.empty()) message += " --include '*" + pick + "*'";
  const bool is_google = ascii_lower(id).starts_with("google/");
  if (pick.empty() && content == HubContent::kTowers && !is_google) message += " --include '*mmproj*'";
  if (is_google)
    message += " (first accept the licence at https://huggingface.co/" + id + " and log in with: hf auth login)";
  throw Error(ErrorCode::kNotFound, message);
}

}  // namespace g3n
