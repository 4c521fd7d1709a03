// Finds a model by its name (gemma3n:e4b) in ollama's folder on this machine. Nothing is downloaded and no environment
// is read: the caller gives the folders (OLLAMA_MODELS, else ~/.ollama/models, /usr/share/ollama/.ollama/models).
//   FOLDER/manifests/HOST/NAMESPACE/NAME/TAG    JSON: the layers of a model and their digests
//   FOLDER/blobs/sha256-HEX                     a layer
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "core/log.h"

namespace g3n {

// "[HOST/][NAMESPACE/]NAME[:TAG]" of letters, digits, '-', '_' and '.'.
bool looks_like_ollama_name(const std::string& text);

struct OllamaModel {
  std::string model;      // the GGUF file of the text model
  std::string projector;  // that of its towers; empty: none
};

// Host, namespace and tag may be missing: registry.ollama.ai, library, and the tag latest or the only one that is
// there. Case does not matter. None if there is no such model; throws kBadFile for a manifest that cannot be read,
// kNotFound for a layer that is not there (with the command that fetches it), kUnsupported for a model in other files
// than GGUF and for one with an adapter, kInvalidArgument where several tags fit.
std::optional<OllamaModel> find_ollama_model(const std::string& name, const std::vector<std::string>& folders,
                                             const Log& log);

// Whether the folders hold any.
bool has_ollama_models(const std::vector<std::string>& folders);
// What the folders hold, for the message that a name is not there: "in ollama (FOLDERS): gemma3n:e4b, ...".
std::string describe_ollama_folders(const std::vector<std::string>& folders);

}  // namespace g3n
