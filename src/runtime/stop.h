// StopDetector: ends an answer before the first stop string, and holds text back that may become one.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace g3n {

class StopDetector {
 public:
  // Throws kInvalidArgument for an empty stop string.
  explicit StopDetector(std::vector<std::string> stops);

  // Takes new text, returns what may be shown. After stopped() nothing more is shown.
  std::string push(std::string_view text);
  // The end of the answer: what was held back, unless stopped.
  std::string finish();
  bool stopped() const { return stopped_; }
  // The stop string that ended the answer, or nothing.
  const std::string& found() const { return found_; }

 private:
  std::vector<std::string> stops_;
  std::string held_, found_;
  bool stopped_ = false;
};

}  // namespace g3n
