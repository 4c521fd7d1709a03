#include "core/log.h"

namespace g3n {

void Log::warn(const std::string& message) const {
  if (sink_) sink_(message);
}

}  // namespace g3n
