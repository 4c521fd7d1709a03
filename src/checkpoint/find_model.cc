#include "checkpoint/find_model.h"

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "checkpoint/hub_cache.h"
#include "checkpoint/model_candidates.h"
#include "g3n/error.h"

namespace g3n {
namespace {

namespace fs = std::filesystem;

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

std::string lower_ending(const std::string& path) {
  std::string ending = fs::path(path).extension().string();
  for (char& c : ending) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return ending;
}

// Such a name means a file, also where no file has it.
bool is_file_name(const std::string& name) {
  const std::string ending = lower_ending(name);
  return ending == ".gguf" || ending == ".g3n" || ending == ".safetensors" || ending == ".bin" || ending == ".pth";
}

bool is_checkpoint_folder(const fs::path& folder) {
  return is_there(folder / "config.json") &&
         (is_there(folder / "model.safetensors") || is_there(folder / "model.safetensors.index.json"));
}

std::string choose_in_folder(const std::string& folder, const std::string& name, const std::string& pick) {
  if (pick.empty() && is_checkpoint_folder(folder)) return folder;
  const std::vector<ModelCandidate> all = model_candidates(folder);
  const std::vector<ModelCandidate> fitting = pick.empty() ? all : candidates_of(all, pick);
  if (fitting.size() == 1) return (fs::path(folder) / fitting[0].name).string();
  if (fitting.size() > 1)
    throw Error(ErrorCode::kInvalidArgument, name + (pick.empty() ? "" : ":" + pick) + ": expected one model, found " +
                                                 list_candidates(fitting) + ": name one of them, as " + name + ":" +
                                                 fs::path(fitting[0].name).filename().string());
  if (pick.empty()) return folder;  // who opens it says what it is instead
  throw Error(ErrorCode::kNotFound, name + ": expected a GGUF file or a bundle named '" + pick + "', found " +
                                        (all.empty() ? "none at all" : list_candidates(all)));
}

}  // namespace

std::string find_model(const std::string& name, const std::vector<std::string>& hub_caches, const Log& log) {
  std::string base = name, pick;
  if (const size_t colon = name.rfind(':');
      !is_there(name) && colon != std::string::npos && name.find('/', colon) == std::string::npos)
    base = name.substr(0, colon), pick = name.substr(colon + 1);
  std::error_code ignored;
  if (fs::is_directory(base, ignored)) return choose_in_folder(base, base, pick);
  if (is_there(base)) {
    if (base == name) return name;
    throw Error(ErrorCode::kInvalidArgument,
                name + ": expected a folder or an id before ':" + pick + "', found the file " + base);
  }
  if (is_file_name(base)) throw Error(ErrorCode::kNotFound, base + ": no such file");
  if (!looks_like_hub_id(base)) return name;  // who opens it says that nothing is there
  return choose_in_folder(resolve_hub_model(base, hub_caches, log, pick), base, pick);
}

std::vector<std::string> model_files(const std::string& path) {
  std::vector<std::string> files = {path};
  std::error_code reason;
  if (lower_ending(path) != ".gguf" || fs::is_directory(path, reason)) return files;
  const fs::path parent = fs::path(path).parent_path();
  for (fs::directory_iterator it(parent.empty() ? "." : parent, reason), end; !reason && it != end;
       it.increment(reason))
    if (lower_ending(it->path().string()) == ".gguf") files.push_back(it->path().string());  // shards, towers
  return files;
}

}  // namespace g3n
