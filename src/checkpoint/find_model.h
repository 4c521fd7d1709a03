// What a model's name stands for. The one place that knows.
#pragma once
#include <string>
#include <vector>

#include "core/log.h"

namespace g3n {

// The path for open_checkpoint(): an existing path as it is, "org/name" looked up in the hub caches. Throws kNotFound.
std::string find_model(const std::string& name, const std::vector<std::string>& hub_caches, const Log& log);

}  // namespace g3n
