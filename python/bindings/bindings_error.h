// Errors that only Python users meet; they become the classes of g3n/errors.py, as g3n::Error does.
#pragma once
#include <stdexcept>
#include <string>

namespace g3n::python {

class BindingError : public std::runtime_error {
 public:
  // name: of the class in g3n/errors.py
  BindingError(const char* name, const std::string& message) : std::runtime_error(message), name_(name) {}
  const char* name() const { return name_; }

 private:
  const char* name_;
};

}  // namespace g3n::python
