#include "checkpoint/checkpoint_folder.h"

#include <algorithm>
#include <filesystem>
#include <vector>

#include "checkpoint/folder_entries.h"
#include "checkpoint/model_candidates.h"
#include "core/file_kind.h"
#include "core/open_file.h"
#include "json/config.h"
#include "g3n/error.h"

namespace g3n {
namespace {

namespace fs = std::filesystem;

constexpr const char* kWanted =
    "expected a Hugging Face folder of Gemma 3n (config.json and *.safetensors, as google/gemma-3n-E2B-it), a GGUF "
    "file or a bundle (.g3n)";

// The first name with this ending; empty if none.
std::string first_ending(const std::vector<std::string>& names, const std::string& ending) {
  const auto found =
      std::find_if(names.begin(), names.end(), [&](const std::string& name) { return name.ends_with(ending); });
  return found == names.end() ? "" : *found;
}

std::string describe_file(const std::string& path) {
  const std::string folder = fs::path(path).parent_path().empty() ? "." : fs::path(path).parent_path().string();
  switch (file_kind_of(path)) {
    case FileKind::kGguf: return "a GGUF file where a folder is needed";
    case FileKind::kZip:
    case FileKind::kPickle:
      return "a PyTorch pickle (.bin, .pth): use the model's safetensors files or a GGUF file instead";
    case FileKind::kLfsPointer: return "a git-lfs pointer: fetch the model with `git lfs pull` and give its folder";
    case FileKind::kSafetensors: return "one .safetensors file: give its folder, " + folder;
    case FileKind::kJson: return "a JSON file: give the model's folder";
    case FileKind::kEmpty: return "an empty file";
    case FileKind::kUnknown: return "a file of another kind";
  }
  return "a file";
}

[[noreturn]] void refuse_adapter(const fs::path& folder) {
  std::string base;
  try {
    base = Config::load((folder / "adapter_config.json").string()).text("base_model_name_or_path", "");
  } catch (const Error&) {
  }
  throw Error(ErrorCode::kUnsupported, folder.string() + ": " + kWanted +
                                           ", found an adapter (adapter_config.json): merge it into its base model" +
                                           (base.empty() ? "" : " " + base) +
                                           " first (peft: merge_and_unload, save_pretrained) and give that folder");
}

// find_model() chooses among such files before a folder is opened as a checkpoint.
void refuse_other_model_files(const fs::path& folder, const std::string& prefix) {
  if (const std::vector<ModelCandidate> files = model_candidates(folder.string()); !files.empty())
    throw Error(ErrorCode::kUnsupported,
                prefix + list_candidates(files) + ": give such a file, as " + (folder / files[0].name).string());
  if (const std::vector<ModelCandidate> towers = mmproj_candidates(folder.string()); !towers.empty())
    throw Error(ErrorCode::kNotFound, prefix + list_candidates(towers) +
                                          ", of vision and audio alone: the GGUF file of the text model is missing");
}

[[noreturn]] void refuse_folder_without_config(const fs::path& folder, const std::vector<std::string>& names) {
  const std::string prefix = folder.string() + ": no config.json: " + kWanted + ", found ";
  if (names.empty()) throw Error(ErrorCode::kNotFound, prefix + "an empty folder");
  refuse_other_model_files(folder, prefix);
  if (is_there(folder / "snapshots") && is_there(folder / "refs"))
    throw Error(ErrorCode::kNotFound,
                prefix + "a folder of the hub cache: give the model's id (org/name) or one of the folders in " +
                    (folder / "snapshots").string());
  for (const std::string& name : names)
    if (is_there(folder / name / "config.json"))
      throw Error(ErrorCode::kNotFound, prefix + "a folder of folders: give " + (folder / name).string());
  throw Error(ErrorCode::kNotFound, prefix + std::to_string(names.size()) + " other files");
}

void check_config(const fs::path& folder) {
  const Config config = Config::load((folder / "config.json").string());
  const std::string type = config.text("model_type", "");
  if (!type.empty() && type != "gemma3n" && type != "gemma3n_text")
    throw Error(ErrorCode::kUnsupported, config.where() + ": model_type: expected \"gemma3n\", found \"" + type + "\"");
  // bitsandbytes, gptq, ... and mlx say so here.
  for (const char* key : {"quantization_config", "quantization"})
    if (config.has(key))
      throw Error(
          ErrorCode::kUnsupported,
          config.where() + ": " + key + ": expected the unquantised model (BF16, F32 or F16), found a quantised one");
}

}  // namespace

void check_model_folder(const std::string& path) {
  std::error_code reason;
  const fs::file_status status = fs::status(path, reason);
  if (!fs::exists(status)) {
    const bool absent =
        reason == std::errc::no_such_file_or_directory || reason == std::errc::not_a_directory || !reason;
    throw Error(
        absent ? ErrorCode::kNotFound : ErrorCode::kInvalidArgument,
        path + (absent ? std::string(": no such file or folder: ") + kWanted : ": cannot open: " + reason.message()));
  }
  if (!fs::is_directory(status))
    throw Error(ErrorCode::kUnsupported, path + ": " + kWanted + ", found " + describe_file(path));
  const fs::path folder(path);
  const std::vector<std::string> names = file_names(folder, reason);
  if (reason)
    throw Error(ErrorCode::kInvalidArgument, folder.string() + ": cannot read the folder: " + reason.message());
  for (const char* name : {"config.json", "model.safetensors", "model.safetensors.index.json"})
    refuse_dead_link((folder / name).string());
  const bool weights = is_there(folder / "model.safetensors") || is_there(folder / "model.safetensors.index.json");
  if (is_there(folder / "adapter_config.json") && !weights) refuse_adapter(folder);
  if (!is_there(folder / "config.json")) refuse_folder_without_config(folder, names);
  check_config(folder);
  if (weights) return;

  const std::string prefix = path + ": expected model.safetensors or model.safetensors.index.json, found ";
  for (const char* ending : {".bin", ".pth", ".pt"})
    if (const std::string name = first_ending(names, ending); !name.empty()) {
      const FileKind kind = file_kind_of((folder / name).string());
      if (kind == FileKind::kZip || kind == FileKind::kPickle)
        throw Error(
            ErrorCode::kUnsupported,
            prefix + name +
                ", a PyTorch pickle: use the model's safetensors files (transformers: save_pretrained) or a GGUF file "
                "instead");
    }
  refuse_other_model_files(folder, prefix);
  if (const std::string shard = first_ending(names, ".safetensors"); !shard.empty())
    throw Error(ErrorCode::kNotFound, prefix + shard + " without its index");
  throw Error(ErrorCode::kNotFound, prefix + "no weights");
}

}  // namespace g3n
