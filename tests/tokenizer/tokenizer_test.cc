// The demo's tokenizer, from either file and from both: ids, control tokens, invalid text, and folders that are not
// right.
#include "tokenizer/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "g3n/error.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/support.h"

namespace g3n {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Ids = std::vector<std::int32_t>;

std::unique_ptr<Tokenizer> load_of(const std::string& folder, const std::vector<std::string>& files) {
  const test::TemporaryFolder part;
  for (const std::string& file : files) part.link(folder, file);
  return Tokenizer::load(part.path());
}

class DemoTokenizer : public ::testing::TestWithParam<std::vector<std::string>> {
 protected:
  void SetUp() override { tokenizer_ = load_of(test::kDemo, GetParam()); }
  Ids parsed(std::string_view text) const { return tokenizer_->encode(text, {.control = ControlTokens::kParse}); }
  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_P(DemoTokenizer, GivesTheIdsOfTheRecordedConversations) {
  const json conversations = json::parse(test::read_file(test::kGoldens + "/demo/conversations.json"));
  ASSERT_GE(conversations.size(), 15u);
  for (const auto& [name, row] : conversations.items()) {
    const std::vector<Segment> prompt =
        expand_media(render(test::messages_of(row["messages"])), {.image = 256, .audio = 188});
    const Ids want = row["ids"].get<Ids>();
    EXPECT_EQ(tokenizer_->encode(prompt), want) << name;
    EXPECT_EQ(parsed(text_of(prompt)), want) << name;
    const Ids answer = row["greedy_ids"].get<Ids>();
    EXPECT_EQ(tokenizer_->decode(answer, /*skip_special=*/true), row["text"].get<std::string>()) << name;
  }
}

TEST_P(DemoTokenizer, KnowsItsSpecialTokens) {
  const SpecialTokens& special = tokenizer_->special();
  EXPECT_THAT((Ids{special.pad, special.eos, special.bos, special.unk, special.start_of_turn, special.end_of_turn}),
              ElementsAre(0, 1, 2, 3, 105, 106));
  EXPECT_THAT((Ids{special.image_begin, special.image_end, special.image_soft}), ElementsAre(2046, 2048, 2049));
  EXPECT_THAT((Ids{special.audio_begin, special.audio_end, special.audio_soft}), ElementsAre(2047, 2176, 2177));
  EXPECT_EQ(tokenizer_->vocab_size(), 2304);
  EXPECT_EQ(tokenizer_->piece(106), "<end_of_turn>");
  EXPECT_EQ(tokenizer_->id("<end_of_turn>"), 106);
  EXPECT_EQ(tokenizer_->id("no such piece"), -1);
  EXPECT_TRUE(tokenizer_->is_special(106));
  EXPECT_FALSE(tokenizer_->is_special(107));
  EXPECT_EQ(tokenizer_->byte_of(tokenizer_->id("<0x0A>")), 10);
  EXPECT_EQ(tokenizer_->byte_of(107), -1);
  EXPECT_THROW(tokenizer_->piece(2304), Error);
  EXPECT_THROW(tokenizer_->piece(-1), Error);
}

TEST_P(DemoTokenizer, ControlTokensInTextAreTextUnlessParsed) {
  EXPECT_THAT(parsed("<end_of_turn>\n"), ElementsAre(106, 107));
  const Ids plain = tokenizer_->encode("<end_of_turn>\n");
  EXPECT_THAT(plain, ::testing::Each(::testing::Not(106)));
  EXPECT_EQ(plain.back(), 107);
  EXPECT_EQ(tokenizer_->decode(plain), "<end_of_turn>\n");
  EXPECT_EQ(tokenizer_->decode(plain, /*skip_special=*/true), "<end_of_turn>\n");
}

TEST_P(DemoTokenizer, SegmentsJoinTextAndKeepControlTokens) {
  const std::vector<Segment> prompt = {{"<bos>", true}, {"user\n"}, {"\n\n"}, {"<image_soft_token>", true, 3},
                                       {"a<end_of"},    {"_turn>"}};
  Ids want = {2};
  for (const Ids& part : {tokenizer_->encode("user"), Ids{109, 2049, 2049, 2049}, tokenizer_->encode("a<end_of_turn>")})
    want.insert(want.end(), part.begin(), part.end());
  const Ids got = tokenizer_->encode(prompt);
  EXPECT_EQ(got, want);
  EXPECT_THAT(got, ::testing::Each(::testing::Not(106)));
  try {
    tokenizer_->encode(std::vector<Segment>{{"<no_such_token>", true}});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("<no_such_token>"), HasSubstr("tokenizer.")));
  }
}

TEST_P(DemoTokenizer, SplitGivesWhatParsingGives) {
  test::Numbers numbers(11);
  const char* const words[] = {"<bos>",
                               "<end_of_turn>",
                               "<end_of",
                               "\n",
                               "\n\n",
                               " ",
                               "   ",
                               "hello",
                               "<",
                               "<image_soft_token>",
                               "\xE2\x96\x81\xE2\x96\x81",
                               "x",
                               "\xE6\x97\xA5"};
  for (int round = 0; round < 500; ++round) {
    std::string text;
    for (std::uint32_t i = 0, n = numbers.below(12); i < n; ++i) text += words[numbers.below(std::size(words))];
    const std::vector<Segment> segments = tokenizer_->split(text);
    EXPECT_EQ(text_of(segments), text);
    EXPECT_EQ(tokenizer_->encode(segments), parsed(text)) << text;
    EXPECT_EQ(tokenizer_->decode(parsed(text)).size(), tokenizer_->decode(tokenizer_->encode(text)).size());
  }
}

TEST_P(DemoTokenizer, InvalidUtf8IsRefusedOrRepaired) {
  try {
    tokenizer_->encode("a\xC3");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.what(), AllOf(HasSubstr("UTF-8"), HasSubstr("0xC3"), HasSubstr("offset 1")));
  }
  EXPECT_EQ(tokenizer_->encode("a\xC3", {.invalid_utf8 = InvalidUtf8::kRepair}), tokenizer_->encode("a\xEF\xBF\xBD"));
  EXPECT_THROW(tokenizer_->encode(std::vector<Segment>{{"a\xC3"}}), Error);
}

const std::vector<std::string> kModelAlone = {"tokenizer.model"}, kJsonAlone = {"tokenizer.json"};
const std::vector<std::string> kAll = {"tokenizer.model", "tokenizer.json", "tokenizer_config.json"};
INSTANTIATE_TEST_SUITE_P(From, DemoTokenizer, ::testing::Values(kModelAlone, kJsonAlone, kAll), [](const auto& files) {
  return std::string(files.index == 0 ? "Model" : files.index == 1 ? "Json" : "All");
});

TEST(Tokenizer, BothFilesGiveTheSameIdsAndTextComesBack) {
  const auto from_model = load_of(test::kDemo, kModelAlone), from_json = load_of(test::kDemo, kJsonAlone);
  test::Numbers numbers(5);
  const char* const words[] = {
      "the", " shape", " ",         "  ", "\n",  "\n\n\n", "circle", "ing",   "\xC3\xA9", "\xF0\x9F\x98\x80",
      "3",   "<b>",    "function(", ".",  "The", "aaaa",   "\t",     "<mask>"};
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (std::uint32_t i = 0, n = numbers.below(14); i < n; ++i) text += words[numbers.below(std::size(words))];
    const Ids ids = from_model->encode(text);
    EXPECT_EQ(ids, from_json->encode(text)) << text;
    EXPECT_EQ(from_model->decode(ids), text);
  }
}

TEST(Tokenizer, FoldersWithoutATokenizerSayWhatTheyMiss) {
  const test::TemporaryFolder empty;
  EXPECT_FALSE(Tokenizer::is_in(empty.path()));
  EXPECT_TRUE(Tokenizer::is_in(test::kDemo));
  try {
    Tokenizer::load(empty.path());
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotFound);
    EXPECT_THAT(error.what(),
                AllOf(HasSubstr(empty.path()), HasSubstr("tokenizer.model"), HasSubstr("tokenizer.json")));
  }
}

std::string load_error(const std::string& name, std::string_view bytes, ErrorCode code) {
  const test::TemporaryFolder folder;
  folder.write(name, bytes);
  try {
    Tokenizer::load(folder.path());
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_THAT(error.what(), HasSubstr(name));
    return error.what();
  }
  return "";
}

TEST(Tokenizer, BrokenFilesAreNamed) {
  const std::string pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0000\nsize 4696020\n";
  EXPECT_THAT(load_error("tokenizer.model", pointer, ErrorCode::kBadFile), HasSubstr("git-lfs"));
  EXPECT_THAT(load_error("tokenizer.json", pointer, ErrorCode::kBadFile), HasSubstr("git-lfs"));
  EXPECT_THAT(load_error("tokenizer.model", "this is no model at all", ErrorCode::kBadFile),
              HasSubstr("SentencePiece"));
  EXPECT_THAT(load_error("tokenizer.json", "{\"added_tokens\": [", ErrorCode::kBadFile), HasSubstr("not JSON"));
  EXPECT_THAT(load_error("tokenizer.json", "[]", ErrorCode::kBadFile), HasSubstr("object"));
  EXPECT_THAT(load_error("tokenizer.json", "{\"model\": {\"type\": \"Unigram\"}}", ErrorCode::kUnsupported),
              HasSubstr("Unigram"));
}

// A tokenizer.json of the bytes, "a", "b", "ab" and one added token; `change` is a JSON patch in merge form.
std::string small_json(const std::string& change) {
  json vocab = {{"a", 256}, {"b", 257}, {"ab", 258}, {"<unk>", 259}};
  for (int byte = 0; byte < 256; ++byte) {
    char text[8];
    std::snprintf(text, sizeof text, "<0x%02X>", byte);
    vocab[text] = byte;
  }
  json whole = {{"added_tokens", {{{"id", 259}, {"content", "<unk>"}, {"special", true}}}},
                {"normalizer", {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "\xE2\x96\x81"}}},
                {"pre_tokenizer", nullptr},
                {"model", {{"type", "BPE"}, {"byte_fallback", true}, {"vocab", vocab}, {"merges", {"a b"}}}}};
  whole.merge_patch(json::parse(change));
  return whole.dump();
}

TEST(Tokenizer, JsonThatIsNotGemmasIsRefused) {
  const test::TemporaryFolder folder;
  folder.write("tokenizer.json", "\xEF\xBB\xBF" + small_json("{}"));  // a byte order mark is skipped
  EXPECT_THAT(Tokenizer::load(folder.path())->encode("abb"), ElementsAre(258, 257));
  const auto error = [](const char* change, ErrorCode code) {
    return load_error("tokenizer.json", small_json(change), code);
  };
  EXPECT_THAT(error(R"({"model": {"byte_fallback": false}})", ErrorCode::kUnsupported), HasSubstr("byte_fallback"));
  EXPECT_THAT(error(R"({"normalizer": {"type": "NFC"}})", ErrorCode::kUnsupported), HasSubstr("normalizer"));
  EXPECT_THAT(error(R"({"pre_tokenizer": {"type": "Metaspace"}})", ErrorCode::kUnsupported),
              HasSubstr("pre_tokenizer"));
  EXPECT_THAT(error(R"({"model": {"merges": []}})", ErrorCode::kBadFile) +
                  error(R"({"model": {"vocab": {"ba": 260}}})", ErrorCode::kBadFile),
              "");  // atoms
  EXPECT_THAT(error(R"({"model": {"merges": ["a b", "a b"]}})", ErrorCode::kUnsupported), HasSubstr("ways to cut"));
  EXPECT_THAT(error(R"({"model": {"merges": ["b a"]}})", ErrorCode::kBadFile), HasSubstr("'ba'"));
  EXPECT_THAT(error(R"({"model": {"merges": ["ab"]}})", ErrorCode::kBadFile), HasSubstr("'ab'"));
  EXPECT_THAT(error(R"({"model": {"merges": [["a", "b", "c"]]}})", ErrorCode::kBadFile), HasSubstr("3 pieces"));
  EXPECT_THAT(error(R"({"model": {"vocab": {"a": 257}}})", ErrorCode::kBadFile), HasSubstr("same id 257"));
  EXPECT_THAT(error(R"({"model": {"vocab": {"a": 4000000000}}})", ErrorCode::kBadFile), HasSubstr("4000000000"));
  EXPECT_THAT(error(R"({"model": {"vocab": {"a": -1}}})", ErrorCode::kBadFile), HasSubstr("negative"));
  EXPECT_THAT(error(R"({"model": {"vocab": {"<0x41>": null}}})", ErrorCode::kBadFile), HasSubstr("found 255"));
  EXPECT_THAT(error(R"({"added_tokens": [{"id": 300}]})", ErrorCode::kBadFile), HasSubstr("300"));
  EXPECT_THAT(error(R"({"added_tokens": [{"id": 300, "content": "a"}]})", ErrorCode::kBadFile),
              HasSubstr("'a' stands twice"));
  EXPECT_THAT(error(R"({"added_tokens": [{"id": 4000000000, "content": "x"}]})", ErrorCode::kBadFile),
              HasSubstr("'x'"));
}

TEST(Tokenizer, AddedTokensOfTheJsonCountBesideAModel) {
  const test::TemporaryFolder folder;
  folder.write("tokenizer.model", test::sentencepiece_bytes(test::small_pieces({{"a", -1}, {"<old>", 0, 4}})));
  folder.write(
      "tokenizer.json",
      R"({"added_tokens": [{"id": 261, "content": "<tool>", "special": true}, {"id": 300, "content": "<far>"}], "model": 0})");
  const auto tokenizer = Tokenizer::load(folder.path());
  const Ids ids = tokenizer->encode("a<tool><far>", {.control = ControlTokens::kParse});
  EXPECT_THAT(ids, ElementsAre(260, 261, 300));
  EXPECT_EQ(tokenizer->id("<old>"), -1);
  EXPECT_EQ(tokenizer->decode(ids, /*skip_special=*/true), "a<far>");
  EXPECT_EQ(tokenizer->decode(Ids{280, 4000, -5, 260}), "a");  // ids without a piece give nothing
}

TEST(Tokenizer, ConfigNamesSpecialTokensOfAModel) {
  const test::TemporaryFolder folder;
  folder.write("tokenizer.model",
               test::sentencepiece_bytes(test::small_pieces({{"a", -1}, {"<stop>", 0, 4}, {"<plain>", 0, 4}})));
  folder.write("tokenizer_config.json", R"({"eos_token": {"content": "<stop>"}, "pad_token": null})");
  const auto tokenizer = Tokenizer::load(folder.path());
  EXPECT_EQ(tokenizer->special().eos, 261);
  EXPECT_TRUE(tokenizer->is_special(261));
  EXPECT_FALSE(tokenizer->is_special(262));
  folder.write("tokenizer_config.json", "{\"added_tokens_decoder\": {\"x\": {}}}");
  EXPECT_THROW(Tokenizer::load(folder.path()), Error);
}

}  // namespace
}  // namespace g3n
