#include "weights/problems.h"

#include <algorithm>

#include "g3n/error.h"

namespace g3n {
namespace {

constexpr size_t kListed = 20;  // problems spelled out

Shape without_trailing_ones(Shape shape) {
  while (shape.size() > 1 && shape.back() == 1) shape.pop_back();
  return shape;
}
Shape without_ones(Shape shape) {
  std::erase(shape, 1);
  return shape;
}

}  // namespace

bool same_shape(const Shape& want, const Shape& got) {
  return without_trailing_ones(want) == without_trailing_ones(got) ||
         (want.size() == 1 && without_ones(want) == without_ones(got));
}

void throw_problems(const std::vector<std::string>& problems) {
  if (problems.empty()) return;
  std::string text;
  for (size_t i = 0; i < std::min(problems.size(), kListed); ++i) text += (i ? "; " : "") + problems[i];
  if (problems.size() > kListed) text += "; and " + std::to_string(problems.size() - kListed) + " more";
  throw Error(ErrorCode::kBadFile, std::to_string(problems.size()) +
                                       (problems.size() == 1 ? " tensor does" : " tensors do") + " not fit: " + text);
}

}  // namespace g3n
