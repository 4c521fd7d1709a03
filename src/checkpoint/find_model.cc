#include "checkpoint/find_model.h"

#include "checkpoint/hub_cache.h"

namespace g3n {

std::string find_model(const std::string& name, const std::vector<std::string>& hub_caches, const Log& log) {
  return looks_like_hub_id(name) ? resolve_hub_model(name, hub_caches, log) : name;
}

}  // namespace g3n
