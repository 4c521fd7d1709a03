#include "checkpoint/find_model.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>
#include <string_view>

#include "checkpoint/folder_entries.h"
#include "checkpoint/hub_cache.h"
#include "checkpoint/model_candidates.h"
#include "checkpoint/ollama.h"
#include "core/ascii.h"
#include "core/open_file.h"
#include "g3n/error.h"

namespace g3n {
namespace {

namespace fs = std::filesystem;

std::string lower_ending(const std::string& path) { return ascii_lower(fs::path(path).extension().string()); }

// Such a name means a file, also where no file has it.
bool is_file_name(const std::string& name) {
  const std::string ending = lower_ending(name);
  return ending == ".gguf" || ending == ".g3n" || ending == ".safetensors" || ending == ".bin" || ending == ".pth";
}

// What is not there for us may be there: in a folder that may not be entered, behind a link.
void refuse_unreachable(const std::string& path) {
  std::error_code reason;
  if (fs::exists(fs::status(path, reason))) return;
  const bool is_too_long = reason == std::errc::filename_too_long;  // a question in the place of a model
  if (reason && reason != std::errc::no_such_file_or_directory && reason != std::errc::not_a_directory)
    throw Error(is_too_long ? ErrorCode::kNotFound : ErrorCode::kInvalidArgument,
                path + ": cannot open: " + reason.message());
  refuse_dead_link(path);
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

// What `name` is, split at the ":PICK" behind it.
struct Picked {
  std::string base, pick;
};
Picked split_pick(const std::string& name) {
  const size_t colon = name.rfind(':');
  if (is_there(name) || colon == std::string::npos || name.find('/', colon) != std::string::npos) return {name, ""};
  return {name.substr(0, colon), name.substr(colon + 1)};
}

struct FoundText {
  OllamaModel files;        // without a projector where it is not ollama's
  std::string folder = {};  // that was asked for, or an id's snapshot: the model may lie in one of its folders
};

// Neither file nor folder nor in the hub cache; ollama has it, or nobody.
OllamaModel find_in_ollama(const std::string& name, const std::vector<std::string>& folders, const Log& log) {
  if (std::optional<OllamaModel> found = find_ollama_model(name, folders, log)) return *std::move(found);
  const bool is_ollamas =
      looks_like_ollama_name(name) && (name.find(':') != std::string::npos || has_ollama_models(folders));
  if (!is_ollamas) return {name, ""};  // who opens it says that nothing is there
  throw Error(ErrorCode::kNotFound, name + ": no such file or folder, and no model of " +
                                        describe_ollama_folders(folders) + "; fetch it with: ollama pull " + name);
}

FoundText find_text_model(const ModelQuery& query, const Log& log) {
  const std::string& name = query.model;
  const auto [base, pick] = split_pick(name);
  std::error_code ignored;
  if (fs::is_directory(base, ignored)) return {{choose_in_folder(base, base, pick), ""}, base};
  if (is_there(base)) {
    if (base == name) return {{name, ""}};
    throw Error(ErrorCode::kInvalidArgument,
                name + ": expected a folder or an id before ':" + pick + "', found the file " + base);
  }
  refuse_unreachable(base);
  if (is_file_name(base)) throw Error(ErrorCode::kNotFound, base + ": no such file");
  if (!looks_like_hub_id(base)) return {find_in_ollama(name, query.ollama_folders, log)};
  try {
    const std::string snapshot = resolve_hub_model(base, query.hub_caches, log, pick);
    return {{choose_in_folder(snapshot, base, pick), ""}, snapshot};
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNotFound) throw;
    if (std::optional<OllamaModel> found = find_ollama_model(name, query.ollama_folders, log))
      return {*std::move(found)};
    throw;
  }
}

std::string folder_around(const std::string& model_path) {
  std::error_code ignored;
  const fs::path path(model_path);
  if (fs::is_directory(path, ignored)) return model_path;
  return path.parent_path().empty() ? "." : path.parent_path().string();
}

// Of files whose names differ in the type alone, the same towers: bf16 has the values of Google's checkpoint in half
// the bytes, f16 has nearly all of them. Null: they differ in more.
const ModelCandidate* best_type(const std::vector<ModelCandidate>& files) {
  constexpr const char* kTypes[] = {"bf16", "f16", "f32", "q8_0"};  // the best first
  const ModelCandidate* best = nullptr;
  size_t best_rank = std::size(kTypes);
  std::set<std::string> names;
  for (const ModelCandidate& file : files) {
    std::string name = ascii_lower(file.name);
    const auto* type = std::find_if(std::begin(kTypes), std::end(kTypes),
                                    [&](const char* word) { return !candidates_of({{name}}, word).empty(); });
    if (type == std::end(kTypes)) return nullptr;
    const auto rank = static_cast<size_t>(type - std::begin(kTypes));
    if (rank < best_rank) best = &file, best_rank = rank;
    names.insert(name.replace(name.find(*type), std::string_view(*type).size(), ""));
  }
  return names.size() == 1 ? best : nullptr;
}

// The only mmproj file of a folder; with `pick`, the only one that fits. Of the same towers in several types the best.
// Empty: there is none.
std::string only_mmproj(const std::string& folder, const std::string& pick, const std::string& asked, const Log& log) {
  std::vector<ModelCandidate> all = mmproj_candidates(folder);
  if (!pick.empty()) all = candidates_of(all, pick);
  const ModelCandidate* best = all.size() > 1 ? best_type(all) : nullptr;
  if (best) {
    log.warn(asked + ": using " + best->name + " of " + list_candidates(all));
    return (fs::path(folder) / best->name).string();
  }
  if (all.size() > 1)
    throw Error(ErrorCode::kInvalidArgument, asked + ": expected one mmproj file in " + folder + ", found " +
                                                 list_candidates(all) + ": name one of them");
  return all.empty() ? "" : (fs::path(folder) / all[0].name).string();
}

std::string find_mmproj(const ModelQuery& query, const FoundText& text, const Log& log) {
  const std::string& name = query.mmproj;
  if (name.empty() || (name == "auto" && !text.files.projector.empty())) return text.files.projector;
  if (name == "auto") {
    std::string searched;
    std::error_code ignored;
    for (const std::string& folder : {folder_around(text.files.model), text.folder}) {  // BF16/ has shards, not towers
      if (folder.empty() || fs::equivalent(folder, searched, ignored)) continue;
      if (const std::string found = only_mmproj(folder, "", "mmproj auto", log); !found.empty()) return found;
      searched += (searched.empty() ? "" : " and ") + folder;
    }
    throw Error(ErrorCode::kNotFound, "mmproj auto: expected an mmproj file (*mmproj*.gguf) in " + searched +
                                          ", where the model is, found none");
  }
  const auto [base, pick] = split_pick(name);
  std::string folder = base;
  std::error_code ignored;
  if (!is_there(base) && looks_like_hub_id(base))
    folder = resolve_hub_model(base, query.hub_caches, log, pick, HubContent::kTowers);
  if (fs::is_directory(folder, ignored)) {
    if (pick.empty() && is_checkpoint_folder(folder)) return folder;
    if (const std::string found = only_mmproj(folder, pick, name, log); !found.empty()) return found;
    return choose_in_folder(folder, base, pick);  // a bundle, or a model with towers of its own
  }
  if (is_there(name)) return name;
  refuse_unreachable(name);
  if (const std::optional<OllamaModel> found = find_ollama_model(name, query.ollama_folders, log))
    return found->projector.empty() ? found->model : found->projector;
  throw Error(ErrorCode::kNotFound,
              "mmproj: " + name + ": no such file or folder: expected an mmproj GGUF file, a folder or a bundle");
}

}  // namespace

ModelPaths find_model(const ModelQuery& query, const Log& log) {
  const FoundText text = find_text_model(query, log);
  return {text.files.model, find_mmproj(query, text, log)};
}

std::vector<std::string> mmproj_beside(const std::string& model_path) {
  std::vector<std::string> paths;
  const std::string folder = folder_around(model_path);
  for (const ModelCandidate& candidate : mmproj_candidates(folder))
    paths.push_back(folder == "." ? candidate.name : (fs::path(folder) / candidate.name).string());
  return paths;
}

std::vector<std::string> model_files(const ModelPaths& paths) {
  const std::string& path = paths.model;
  std::vector<std::string> files = {path};
  if (!paths.mmproj.empty()) files.push_back(paths.mmproj);
  std::error_code reason;
  if (lower_ending(path) != ".gguf" || fs::is_directory(path, reason)) return files;
  for (fs::directory_iterator it(folder_around(path), reason), end; !reason && it != end; it.increment(reason))
    if (lower_ending(it->path().string()) == ".gguf") files.push_back(it->path().string());  // shards, towers
  return files;
}

}  // namespace g3n
