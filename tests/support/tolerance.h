// Comparisons of float arrays: within a tolerance, or bit for bit.
#pragma once
#include <gmock/gmock.h>

#include <cmath>
#include <cstring>
#include <vector>

namespace g3n::test {

struct Tolerance {
  float rel = 0, abs = 0;
};

// Every element within rel * |want| + abs; NaN only where NaN is wanted.
MATCHER_P2(AllNear, want, tolerance, "near") {
  if (arg.size() != want.size()) {
    *result_listener << "size " << arg.size() << ", want " << want.size();
    return false;
  }
  for (size_t i = 0; i < want.size(); ++i) {
    if (std::isnan(want[i]) && std::isnan(arg[i])) continue;
    if (arg[i] == want[i] || std::fabs(arg[i] - want[i]) <= tolerance.rel * std::fabs(want[i]) + tolerance.abs)
      continue;
    *result_listener << "element " << i << " is " << arg[i] << ", want " << want[i];
    return false;
  }
  return true;
}

// The same bits, element by element; any NaN equals any NaN.
MATCHER_P(SameBits, want, "the same bits") {
  if (arg.size() != want.size()) {
    *result_listener << "size " << arg.size() << ", want " << want.size();
    return false;
  }
  for (size_t i = 0; i < want.size(); ++i) {
    if (std::memcmp(&arg[i], &want[i], sizeof(want[i])) == 0 || (arg[i] != arg[i] && want[i] != want[i])) continue;
    *result_listener << "element " << i << " of " << want.size() << " is " << std::hexfloat << arg[i] << ", want "
                     << want[i];
    return false;
  }
  return true;
}

}  // namespace g3n::test
