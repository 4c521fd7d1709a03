// Warnings and progress for whoever embeds the library. The library itself never prints.
#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <string>

namespace g3n {

using LogSink = std::function<void(const std::string&)>;

// Where warnings go; a null sink drops them. Any thread may warn: the sink of a Log and its copies gets one call at a
// time.
class Log {
 public:
  Log() = default;
  explicit Log(LogSink sink);
  void warn(const std::string& message) const;

 private:
  struct Sink {
    std::mutex mutex;
    LogSink call;
  };
  std::shared_ptr<Sink> sink_;
};

}  // namespace g3n
