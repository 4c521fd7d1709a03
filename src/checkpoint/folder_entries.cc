#include "checkpoint/folder_entries.h"

#include <algorithm>

namespace g3n {

namespace fs = std::filesystem;

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

std::vector<std::string> file_names(const fs::path& folder, std::error_code& reason) {
  std::vector<std::string> names;
  for (fs::directory_iterator it(folder, reason), end; !reason && it != end; it.increment(reason))
    names.push_back(it->path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace g3n
