// The model that the flags name, for the commands that look inside (inspect, trace).
#pragma once
#include <string>

#include "options.h"

namespace g3n::cli {

// As checkpoint/find_model.h has it, with the hub caches of the environment.
std::string find_model_folder(const Options& options);

}  // namespace g3n::cli
