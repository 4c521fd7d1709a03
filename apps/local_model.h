// The model folder that the flags name, for the commands that look inside (inspect, trace).
#pragma once
#include <string>

#include "options.h"

namespace g3n::cli {

// An existing path, or the snapshot of "org/name" in the hub cache.
std::string find_model_folder(const Options& options);

}  // namespace g3n::cli
