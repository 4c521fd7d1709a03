#include "core/log.h"

#include <utility>

namespace g3n {

Log::Log(LogSink sink) {
  if (!sink) return;
  sink_ = std::make_shared<Sink>();
  sink_->call = std::move(sink);
}

void Log::warn(const std::string& message) const {
  if (!sink_) return;
  const std::lock_guard lock(sink_->mutex);
  sink_->call(message);
}

}  // namespace g3n
