// tokenizer.model files that are not what they should be: a clear error, whatever the bytes.
#include "tokenizer/sentencepiece_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "g3n/error.h"
#include "tokenizer/support.h"
#include "tokenizer/tokenizer.h"

namespace g3n {
namespace {

using ::testing::HasSubstr;

const std::vector<test::ModelPiece> kWords = {{"a", -3},    {"b", -4},      {"ab", -1},
                                              {"\n", 0, 4}, {"\n\n", 0, 4}, {"<start_of_turn>", 0, 4}};

// The message of the error that loading these bytes gives; "" if there is none.
std::string error_of(const std::string& bytes, ErrorCode code = ErrorCode::kBadFile) {
  try {
    Tokenizer tokenizer(read_sentencepiece(bytes, "FILE"));
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  return "";
}

TEST(SentencePieceFile, ReadsPiecesScoresAndTypes) {
  const Vocabulary vocabulary = read_sentencepiece(test::sentencepiece_bytes(test::small_pieces(kWords)), "FILE");
  ASSERT_EQ(vocabulary.pieces.size(), 266u);
  EXPECT_EQ(vocabulary.pieces[262].text, "ab");
  EXPECT_EQ(vocabulary.pieces[262].score, -1.0f);
  EXPECT_EQ(vocabulary.pieces[14].type, PieceType::kByte);
  EXPECT_EQ(vocabulary.added.size(), 7u);  // 3 control, 1 unknown, 3 user-defined
}

TEST(SentencePieceFile, EveryTruncationIsAnError) {
  const std::string whole = test::sentencepiece_bytes(test::small_pieces(kWords));
  ASSERT_EQ(error_of(whole), "");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    try {
      read_sentencepiece(whole.substr(0, size), "FILE");
      FAIL() << "read " << size << " of " << whole.size() << " bytes without an error";
    } catch (const Error& error) {
      ASSERT_THAT(error.what(), HasSubstr("FILE"));
    }
  }
}

TEST(SentencePieceFile, EveryFlippedBitIsAnErrorOrASoundVocabulary) {
  const std::string whole = test::sentencepiece_bytes(test::small_pieces(kWords));
  int errors = 0, sound = 0;
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    try {
      Vocabulary vocabulary = read_sentencepiece(flipped, "FILE");
      check_vocabulary(vocabulary);
      if (++sound % 64 == 0)
        Tokenizer(std::move(vocabulary)).encode("ab <start_of_turn>\n\nz", {.control = ControlTokens::kParse});
    } catch (const Error& error) {
      ++errors;
    }
  }
  EXPECT_GT(errors, 1000);
  EXPECT_GT(sound, 1000);  // other scores, other letters in a word: no reader can know
}

TEST(SentencePieceFile, RandomBytesAreErrors) {
  test::Numbers numbers(3);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(numbers.below(300), '\0');
    for (char& byte : bytes) byte = static_cast<char>(numbers.below(256));
    EXPECT_THROW(read_sentencepiece(bytes, "FILE"), Error);
  }
}

TEST(SentencePieceFile, SaysWhatIsWrong) {
  const auto file = [](const std::vector<test::ModelPiece>& more) {
    return test::sentencepiece_bytes(test::small_pieces(more));
  };
  EXPECT_THAT(error_of(""), HasSubstr("trainer_spec"));
  EXPECT_THAT(error_of(file({{"a"}, {"a"}})), HasSubstr("'a' stands twice"));
  EXPECT_THAT(error_of(file({{"\xFF"}})), HasSubstr("piece 260 is not UTF-8"));
  EXPECT_THAT(error_of(file({{""}})), HasSubstr("without text"));
  EXPECT_THAT(error_of(file({{"a", NAN}})), HasSubstr("piece 260"));
  EXPECT_THAT(error_of(file({{"a", 0, 7}})), HasSubstr("piece type 7"));
  EXPECT_THAT(error_of(file({{"<what>", 0, 2}})), HasSubstr("one unknown piece, found 2"));
  EXPECT_THAT(error_of(file({{"<0x1G>", 0, 6}})), HasSubstr("<0x1G>"));
  EXPECT_THAT(error_of(test::sentencepiece_bytes({{"<unk>", 0, 2}, {"a"}})), HasSubstr("256 byte pieces"));
  EXPECT_THAT(
      error_of(test::sentencepiece_bytes(test::small_pieces(kWords), /*model_type=*/1), ErrorCode::kUnsupported),
      HasSubstr("BPE"));
}

TEST(SentencePieceFile, RefusesNormalizersThatChangeText) {
  std::string bytes = test::sentencepiece_bytes(test::small_pieces(kWords));
  const std::size_t dummy_prefix = bytes.size() - 5;  // ... 18 00 | 20 00 | 28 01
  ASSERT_EQ(bytes.substr(dummy_prefix - 1), std::string("\x18\x00\x20\x00\x28\x01", 6));
  bytes[dummy_prefix] = 1;
  EXPECT_THAT(error_of(bytes, ErrorCode::kUnsupported), HasSubstr("add_dummy_prefix"));
}

}  // namespace
}  // namespace g3n
