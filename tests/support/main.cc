// main of every test program. A filter that selects nothing is a failure: a check that cannot fail is none.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>

int main(int argc, char** argv) {
  ::testing::InitGoogleMock(&argc, argv);
  const int result = RUN_ALL_TESTS();
  if (!::testing::GTEST_FLAG(list_tests) && ::testing::UnitTest::GetInstance()->test_to_run_count() == 0) {
    std::fprintf(stderr, "no test was selected by --gtest_filter=%s\n", ::testing::GTEST_FLAG(filter).c_str());
    return 1;
  }
  return result;
}
