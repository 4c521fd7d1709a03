// Is this path a Gemma 3n checkpoint folder? If not: what it is instead, by content, and what to use.
#pragma once
#include <string>

namespace g3n {

// Returns when `path` is a folder with a config.json of Gemma 3n and safetensors weights (the weights themselves are
// checked when opened). Otherwise Error: kNotFound (nothing there), kUnsupported (a GGUF, pickle, adapter, quantised or
// other model), kBadFile.
void check_model_folder(const std::string& path);

}  // namespace g3n
