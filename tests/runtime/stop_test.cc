#include "runtime/stop.h"

#include <gtest/gtest.h>

#include "g3n/error.h"

namespace g3n {
namespace {

// Feeds text in pieces of `size` bytes; what is shown must never include or pass the stop.
std::string shown(const std::string& text, std::vector<std::string> stops, size_t size, bool* stopped = nullptr) {
  StopDetector detector(std::move(stops));
  std::string out;
  for (size_t i = 0; i < text.size(); i += size) out += detector.push(text.substr(i, size));
  out += detector.finish();
  if (stopped) *stopped = detector.stopped();
  return out;
}

TEST(StopDetector, EndsBeforeTheFirstStopWhateverThePieces) {
  for (size_t size = 1; size <= 20; ++size) {
    bool stopped = false;
    EXPECT_EQ(shown("one two END three", {"END"}, size, &stopped), "one two ") << size;
    EXPECT_TRUE(stopped);
    EXPECT_EQ(shown("aab", {"ab"}, size), "a") << size;
    EXPECT_EQ(shown("ababac tail", {"abac", "xyz"}, size), "ab") << size;
    EXPECT_EQ(shown("\n\nUser: hi", {"User:", "\n\nUser"}, size), "") << size;
  }
}

TEST(StopDetector, ATextThatOnlyBeginsAStopIsShownAtTheEnd) {
  bool stopped = true;
  EXPECT_EQ(shown("the EN", {"END"}, 1, &stopped), "the EN");
  EXPECT_FALSE(stopped);
}

TEST(StopDetector, HoldsBackOnlyWhatMayBecomeAStop) {
  StopDetector detector({"END"});
  EXPECT_EQ(detector.push("abcE"), "abc");
  EXPECT_EQ(detector.push("x"), "Ex");
  EXPECT_EQ(detector.push("EN"), "");
  EXPECT_EQ(detector.push("D!"), "");
  EXPECT_EQ(detector.push("more"), "");
}

TEST(StopDetector, AnEmptyStopIsAnError) { EXPECT_THROW(StopDetector({""}), Error); }

}  // namespace
}  // namespace g3n
