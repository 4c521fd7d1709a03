#include "core/ascii.h"

#include <gtest/gtest.h>

namespace g3n {
namespace {

TEST(Ascii, OnlyItsCapitalsChange) {
  EXPECT_EQ(ascii_lower("Gemma-3N_E2B.GGUF @[`{ 09"), "gemma-3n_e2b.gguf @[`{ 09");
  EXPECT_EQ(ascii_lower("\xc3\x84\xff"), "\xc3\x84\xff");
  EXPECT_EQ(ascii_lower(""), "");
}

}  // namespace
}  // namespace g3n
