// What Loader and BundleLoader share: shapes that mean the same, and one error for all that does not fit.
#pragma once
#include <string>
#include <vector>

#include "weights/binder.h"

namespace g3n {

// [out, in, 1, 1] and [out, in] are the same matrix, [1, channels, 1, 1] and [channels] the same vector; exporters
// differ.
bool same_shape(const Shape& want, const Shape& got);

// Error{kBadFile} with the first 20 and a count; returns if there are none.
void throw_problems(const std::vector<std::string>& problems);

}  // namespace g3n
