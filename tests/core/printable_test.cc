// What messages show of names from outside.
#include "core/printable.h"

#include <gtest/gtest.h>

namespace g3n {
namespace {

TEST(Printable, WhatATerminalObeysIsShownInstead) {
  EXPECT_EQ(printable("plain, \xc3\xa4\xe2\x82\xac\xf0\x9f\x99\x82"), "plain, \xc3\xa4\xe2\x82\xac\xf0\x9f\x99\x82");
  EXPECT_EQ(printable("\x1b]0;owned\x07\x1b[31mred"), "\\x1b]0;owned\\x07\\x1b[31mred");
  EXPECT_EQ(printable(std::string_view("a\0b\x7f", 4)), "a\\x00b\\x7f");
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m"),
            "\\x9b31m")
      << "C1: a control sequence in one character";
  EXPECT_EQ(printable("\xe2\x80\xae"
                      "cod.exe"),
            "\\u202ecod.exe")
      << "turns the direction";
  EXPECT_EQ(printable("one\ntwo\r\n\tthree"), "one two   three");
  EXPECT_EQ(printable("one\n\ttwo\x1b", LineBreaks::kKept), "one\n\ttwo\\x1b");
}

TEST(Printable, BytesThatAreNoUtf8) {
  EXPECT_EQ(printable("a\xff"
                      "b"),
            "a\\xffb");
  EXPECT_EQ(printable("\xe2\x82"), "\\xe2\\x82") << "cut";
  EXPECT_EQ(printable("\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80"), "\\xc0\\x80\\xed\\xa0\\x80\\xf4\\x90\\x80\\x80")
      << "overlong, surrogate, too large";
}

TEST(Printable, StartsAreNeverCutInsideACharacter) {
  const std::string euros = "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac";
  EXPECT_EQ(printable_start(euros, 9), euros);
  for (const size_t most : {6u, 7u, 8u}) EXPECT_EQ(printable_start(euros, most), euros.substr(0, 6) + "...");
  EXPECT_EQ(printable_start("a\nb\x1b", 3), "a b...");
  EXPECT_EQ(printable_start("", 0), "");
  EXPECT_EQ(printable_start("abcdef", 6), "abcdef");
  EXPECT_EQ(printable_start("abcdefg", 6), "abcdef...");
  EXPECT_EQ(printable_start("abcde\xe2\x96\x81g", 6), "abcde...");
  EXPECT_EQ(printable_start(std::string(1000, 'x')), std::string(120, 'x') + "...");
  const std::string broken = printable_start(std::string(1000, '\xff'), 20);
  EXPECT_EQ(broken.size(), 20 * 4 + 3u) << "bytes of the text count, not those of their escapes";
}

TEST(Printable, Shapes) {
  EXPECT_EQ(shape_text({}), "[]");
  EXPECT_EQ(shape_text({2, 3}), "[2, 3]");
}

}  // namespace
}  // namespace g3n
