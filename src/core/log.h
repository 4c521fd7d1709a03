// Warnings and progress for whoever embeds the library. The library itself never prints.
#pragma once
#include <functional>
#include <string>

namespace g3n {

using LogSink = std::function<void(const std::string&)>;

// Collects warnings while something loads; a null sink drops them.
class Log {
 public:
  Log() = default;
  explicit Log(LogSink sink) : sink_(std::move(sink)) {}
  void warn(const std::string& message) const;

 private:
  LogSink sink_;
};

}  // namespace g3n
