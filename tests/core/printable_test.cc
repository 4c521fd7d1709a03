// What messages show of names from outside.
#include "core/printable.h"

#include <gtest/gtest.h>

#include "core/utf8.h"

namespace g3n {
namespace {

TEST(Printable, IsOneLineOfUtf8) {
  EXPECT_EQ(printable("model.layers.0"), "model.layers.0");
  EXPECT_EQ(printable("a\n\x1b[31mb\x7f"), "a??[31mb?");
  EXPECT_EQ(printable(std::string_view("a\0b", 3)), "a?b");
  EXPECT_EQ(printable("\xc3\xbc\xff!"), "\xc3\xbc\xef\xbf\xbd!");
  EXPECT_EQ(printable("\xc2\x85"), "?");  // a control character behind ASCII: next line
  EXPECT_EQ(printable(""), "");
}

TEST(Printable, IsBoundedAndCutsNoCharacter) {
  EXPECT_EQ(printable("abcdef", 6), "abcdef");
  EXPECT_EQ(printable("abcdefg", 6), "abcdef...");
  EXPECT_EQ(printable("abcde\xe2\x96\x81g", 6), "abcde...");
  EXPECT_EQ(printable(std::string(1000, 'x')), std::string(120, 'x') + "...");
  const std::string broken = printable(std::string(1000, '\xff'), 20);
  EXPECT_EQ(utf8_valid_prefix(broken), broken.size());
  EXPECT_LE(broken.size(), 23u);
}

TEST(Printable, Shapes) {
  EXPECT_EQ(shape_text({}), "[]");
  EXPECT_EQ(shape_text({2, 3}), "[2, 3]");
}

}  // namespace
}  // namespace g3n
