// The middle of what was measured.
#pragma once
#include <algorithm>
#include <vector>

namespace g3n {

inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.at(values.size() / 2);
}

}  // namespace g3n
