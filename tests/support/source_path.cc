#include "support/source_path.h"

namespace g3n {

std::string source_path(const std::string& path) {
  return path.empty() ? std::string(G3N_SOURCE_DIR) : G3N_SOURCE_DIR "/" + path;
}

}  // namespace g3n
