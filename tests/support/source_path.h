// Files of the checkout that tests read. One unit knows where it lies: the objects of all others are those of any
// checkout.
#pragma once
#include <string>

namespace g3n {

// "models/demo" and the like; "" is the checkout itself.
std::string source_path(const std::string& path);

}  // namespace g3n
