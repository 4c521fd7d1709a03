#include "core/free_memory.h"

#include <fstream>
#include <string>

namespace g3n {

std::int64_t free_memory() {
  std::ifstream file("/proc/meminfo");
  std::string key, unit;
  for (std::int64_t value = 0; file >> key >> value >> unit;)
    if (key == "MemAvailable:") return value * 1024;
  return 0;
}

}  // namespace g3n
