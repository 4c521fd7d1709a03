// The merge loop against a plain reading of the rule, on vocabularies small enough to be nasty.
#include "tokenizer/bpe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tokenizer/sentencepiece_file.h"
#include "tokenizer/support.h"

namespace g3n {
namespace {

using ::testing::ElementsAre;

Vocabulary small_vocabulary(const std::vector<test::ModelPiece>& more) {
  Vocabulary vocabulary = read_sentencepiece(test::sentencepiece_bytes(test::small_pieces(more)), "small");
  check_vocabulary(vocabulary);
  return vocabulary;
}
constexpr std::int32_t kFirst = 260, kFirstByte = 4;  // of small_pieces

std::vector<std::int32_t> encode(const Vocabulary& vocabulary, std::string_view text) {
  std::vector<std::int32_t> ids;
  Bpe(vocabulary.pieces).encode(text, ids);
  return ids;
}

// The rule, one merge at a time over the whole text: quadratic, no cuts, no heap. One-byte characters only.
std::vector<std::int32_t> encode_slowly(const Vocabulary& vocabulary, const std::string& text) {
  const auto find = [&](const std::string& piece) {
    for (std::size_t id = kFirst; id < vocabulary.pieces.size(); ++id)
      if (vocabulary.pieces[id].text == piece) return static_cast<std::int32_t>(id);
    return -1;
  };
  std::vector<std::string> symbols;
  for (const char c : text) symbols.push_back(c == ' ' ? std::string(kSpaceMark) : std::string(1, c));
  while (true) {
    std::size_t best = symbols.size();
    float score = 0;
    for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
      const std::int32_t id = find(symbols[i]) < 0 || find(symbols[i + 1]) < 0 ? -1 : find(symbols[i] + symbols[i + 1]);
      if (id < 0 || (best != symbols.size() && vocabulary.pieces[id].score <= score)) continue;
      best = i;
      score = vocabulary.pieces[id].score;
    }
    if (best == symbols.size()) break;
    symbols[best] += symbols[best + 1];
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
  std::vector<std::int32_t> ids;
  for (const std::string& symbol : symbols) {
    if (find(symbol) >= 0)
      ids.push_back(find(symbol));
    else
      for (const char byte : symbol) ids.push_back(kFirstByte + static_cast<unsigned char>(byte));
  }
  return ids;
}

TEST(Bpe, MergesTheHigherScoreFirstThenTheLeftmost) {
  const Vocabulary vocabulary = small_vocabulary({{"a", -9}, {"b", -9}, {"c", -9}, {"ab", -2}, {"bc", -1}, {"aa", -3}});
  EXPECT_THAT(encode(vocabulary, "abc"), ElementsAre(kFirst, kFirst + 4));  // bc before ab
  EXPECT_THAT(encode(vocabulary, "aaa"), ElementsAre(kFirst + 5, kFirst));  // the left pair
  EXPECT_THAT(encode(vocabulary, ""), ElementsAre());
}

TEST(Bpe, CharactersWithoutAPieceBecomeBytes) {
  const Vocabulary vocabulary = small_vocabulary({{"a", -9}, {"\xC3\xA9", -9}, {"a\xC3\xA9", -1}});
  EXPECT_THAT(encode(vocabulary, "a\xC3\xA9"), ElementsAre(kFirst + 2));
  EXPECT_THAT(encode(vocabulary,
                     "z\xC3\xA8"
                     "a"),
              ElementsAre(kFirstByte + 'z', kFirstByte + 0xC3, kFirstByte + 0xA8, kFirst));
  EXPECT_THAT(encode(vocabulary, std::string_view("\0", 1)), ElementsAre(kFirstByte));
  EXPECT_THAT(encode(vocabulary, " "),
              ElementsAre(kFirstByte + 0xE2, kFirstByte + 0x96, kFirstByte + 0x81));  // U+2581 has no piece here
}

TEST(Bpe, EqualsThePlainRule) {
  test::Numbers numbers(7);
  for (int round = 0; round < 40; ++round) {
    std::vector<test::ModelPiece> pieces;
    for (const char* single : {"a", "b", "c", "\xE2\x96\x81"}) pieces.push_back({single, -50});
    for (int i = 0; i < 25; ++i) {
      std::string text;
      for (std::uint32_t j = 0, n = 2 + numbers.below(5); j < n; ++j)
        text += pieces[numbers.below(j == 0 ? 4 : 3)].text;
      bool is_new = true;
      for (const test::ModelPiece& piece : pieces) is_new &= piece.text != text;
      if (is_new) pieces.push_back({text, -static_cast<float>(numbers.below(12))});  // with ties
    }
    const Vocabulary vocabulary = small_vocabulary(pieces);
    for (int i = 0; i < 20; ++i) {
      std::string text;
      for (std::uint32_t j = 0, n = numbers.below(60); j < n; ++j) text += "abc aabbd"[numbers.below(9)];
      ASSERT_EQ(encode(vocabulary, text), encode_slowly(vocabulary, text))
          << "round " << round << ", text '" << text << "'";
    }
  }
}

}  // namespace
}  // namespace g3n
