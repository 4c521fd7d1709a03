#include "core/view.h"

#include <gtest/gtest.h>

#include <vector>

namespace g3n {
namespace {

TEST(View, IndexingSlicingAndSteps) {
  std::vector<float> data(2 * 3 * 4);
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<float>(i);
  const View<float, 3> v{data.data(), {2, 3, 4}};
  EXPECT_EQ(v.size(), 24);
  EXPECT_TRUE(v.contiguous());
  EXPECT_EQ(v[1][2][3], 23.0f);
  const View<const float, 2> rows = v[1].slice(1, 2);
  EXPECT_EQ(rows.dim[0], 2);
  EXPECT_EQ(rows.row(0)[0], 16.0f);
  const View<float, 2> columns{data.data() + 1, {6, 2}, {4, 1}};
  EXPECT_FALSE(columns.contiguous());
  EXPECT_EQ(columns.row(5)[1], 22.0f);
}

TEST(View, AWrongShapeNamesBothShapes) {
  std::vector<float> data(6);
  const View<float, 2> v{data.data(), {2, 3}};
  expect_shape(v, {2, 3}, "x");
  try {
    expect_shape(v, {3, 2}, "x");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(std::string(e.what()), "x: expected shape [3, 2], got [2, 3]");
  }
}

}  // namespace
}  // namespace g3n
