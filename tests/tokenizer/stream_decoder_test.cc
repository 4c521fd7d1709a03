// Incremental decoding: what comes out is always whole characters, and all of it together is decode's text.
#include "tokenizer/stream_decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tokenizer/sentencepiece_file.h"
#include "tokenizer/support.h"
#include "tokenizer/tokenizer.h"
#include "core/utf8.h"

namespace g3n {
namespace {

constexpr std::int32_t kEndOfTurn = 260, kHello = 261, kSpaces = 262;
constexpr std::int32_t byte_id(int byte) { return 4 + byte; }

class StreamDecoding : public ::testing::Test {
 protected:
  const Tokenizer tokenizer_{read_sentencepiece(
      test::sentencepiece_bytes(
          test::small_pieces({{"<end_of_turn>", 0, 3}, {"\xE2\x96\x81Hello", -1}, {"\xE2\x96\x81\xE2\x96\x81", 0, 4}})),
      "small")};
  const std::string r_{kReplacementCharacter};
};

TEST_F(StreamDecoding, HoldsBytesBackUntilTheCharacterIsWhole) {
  StreamDecoder decoder(tokenizer_);
  EXPECT_EQ(decoder.push(byte_id(0xF0)), "");
  EXPECT_EQ(decoder.push(byte_id(0x9F)), "");
  EXPECT_EQ(decoder.push(byte_id(0x98)), "");
  EXPECT_EQ(decoder.push(byte_id(0x80)), "\xF0\x9F\x98\x80");
  EXPECT_EQ(decoder.push(byte_id('A')), "A");
  EXPECT_EQ(decoder.push(kHello), " Hello");
  EXPECT_EQ(decoder.push(kSpaces), "  ");
  EXPECT_EQ(decoder.flush(), "");
}

TEST_F(StreamDecoding, BrokenBytesGiveOneReplacementPerSubpart) {
  StreamDecoder decoder(tokenizer_);
  decoder.push(byte_id(0xE6));
  EXPECT_EQ(decoder.push(kHello), r_ + " Hello");
  EXPECT_EQ(decoder.push(byte_id(0xFF)), r_);
  decoder.push(byte_id(0xE6));
  decoder.push(byte_id(0x97));
  EXPECT_EQ(decoder.push(byte_id('B')), r_ + "B");
  decoder.push(byte_id(0xE6));
  EXPECT_EQ(decoder.push(byte_id(0xC3)), r_);
  EXPECT_EQ(decoder.push(byte_id(0xA9)), "\xC3\xA9");
  decoder.push(byte_id(0xF0));
  EXPECT_EQ(decoder.flush(), r_);
  EXPECT_EQ(decoder.flush(), "");
}

TEST_F(StreamDecoding, SkippedSpecialsDoNotEndARunOfBytes) {
  StreamDecoder skipping(tokenizer_, /*skip_special=*/true), showing(tokenizer_, /*skip_special=*/false);
  std::string skipped, shown;
  for (const std::int32_t id : {byte_id(0xE6), kEndOfTurn, byte_id(0x97), byte_id(0xA5)}) {
    skipped += skipping.push(id);
    shown += showing.push(id);
  }
  EXPECT_EQ(skipped + skipping.flush(), "\xE6\x97\xA5");
  EXPECT_EQ(shown + showing.flush(), r_ + "<end_of_turn>" + r_ + r_);
}

TEST_F(StreamDecoding, EveryPieceOfOutputIsUtf8AndTogetherTheyAreTheText) {
  test::Numbers numbers(2);
  for (int round = 0; round < 500; ++round) {
    StreamDecoder decoder(tokenizer_, /*skip_special=*/false);
    std::vector<std::int32_t> ids;
    std::string all;
    for (int i = 0; i < 30; ++i) {
      ids.push_back(static_cast<std::int32_t>(
          numbers.below(4) == 0 ? numbers.below(270) : byte_id(0x80 + static_cast<int>(numbers.below(0x75)))));
      const std::string out = decoder.push(ids.back());
      ASSERT_EQ(utf8_valid_prefix(out), out.size());
      all += out;
    }
    EXPECT_EQ(all + decoder.flush(), tokenizer_.decode(ids));
  }
}

}  // namespace
}  // namespace g3n
