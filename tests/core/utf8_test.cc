// UTF-8 scanning, repair and trimming.
#include "core/utf8.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "g3n/error.h"

namespace g3n {
namespace {

using ::testing::HasSubstr;

TEST(Utf8, RepairsEveryMaximalBrokenSubpart) {
  const std::string r(kReplacementCharacter);
  EXPECT_EQ(utf8_repaired("a\x80"
                          "b"),
            "a" + r + "b");
  EXPECT_EQ(utf8_repaired("x\xF0\x9F\x98 y"), "x" + r + " y");  // three bytes that could have become a character: one
  EXPECT_EQ(utf8_repaired("\xC0\xAF"), r + r);                  // overlong
  EXPECT_EQ(utf8_repaired("\xED\xA0\x80"), r + r + r);          // a surrogate
  EXPECT_EQ(utf8_repaired("\xF4\x90\x80\x80"), r + r + r + r);  // above U+10FFFF
  EXPECT_EQ(utf8_repaired("\xE6\x97"), r);                      // cut at the end
  const std::string whole = "a\xC3\xA9\xE6\x97\xA5\xF0\x9F\x98\x80\xF4\x8F\xBF\xBF";
  EXPECT_EQ(utf8_repaired(whole), whole);
}

TEST(Utf8, NamesTheByteThatIsWrong) {
  EXPECT_NO_THROW(expect_utf8("\xE6\x97\xA5", "text"));
  try {
    expect_utf8("caf\xE9", "prompt");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.what(), ::testing::AllOf(HasSubstr("prompt"), HasSubstr("0xE9"), HasSubstr("offset 3")));
  }
}

TEST(Utf8, TrimsWhatPythonStrips) {
  EXPECT_EQ(trim_white_space("\t\n a b \r\n"), "a b");
  EXPECT_EQ(trim_white_space("\xC2\x85\xC2\xA0\xE3\x80\x80x\xE2\x80\xA8\xE2\x80\x8A"), "x");
  EXPECT_EQ(trim_white_space("\xE2\x80\x8Bx\xEF\xBB\xBF"),
            "\xE2\x80\x8Bx\xEF\xBB\xBF");  // zero width space and BOM stay
  EXPECT_EQ(trim_white_space(std::string_view("\0 x \0", 5)), std::string_view("\0 x \0", 5));
  EXPECT_EQ(trim_white_space(" \n "), "");
  EXPECT_EQ(trim_white_space(""), "");
}

}  // namespace
}  // namespace g3n
