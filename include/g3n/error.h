// The one exception type of g3n. A message says what was expected, what was found, and where (file, tensor, key,
// option).
#pragma once
#include <stdexcept>
#include <string>

namespace g3n {

enum class ErrorCode {
  kInvalidArgument,  // the caller asked for something that makes no sense
  kNotFound,         // a file, folder, tensor or model that is not there
  kBadFile,          // a file that is there but is not what it should be
  kUnsupported,      // understood, but this build or this checkpoint cannot do it
  kContextFull,      // the prompt and its answer need more positions than the context has
  kCancelled,        // the caller cancelled the call
  kOutOfMemory,      // the machine has too little memory for the request
  kInternal,         // a bug of ours
};

// "invalid argument", "not found", ... : for logs and JSON.
const char* error_code_name(ErrorCode code);

class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
};

}  // namespace g3n
