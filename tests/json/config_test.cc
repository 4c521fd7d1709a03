// Config: types, defaults, ranges, and the files that are not what they should be.
#include "json/config.h"

#include <cmath>

#include "support/errors.h"

namespace g3n::testing {
namespace {

using ::testing::ElementsAre;

Config parsed(const std::string& text) { return Config::parse(text, "config.json"); }

TEST(JsonConfig, ReadsEveryTypeAndTakesDefaultsForAbsentAndNull) {
  const Config c = parsed(
      R"({"i": 7, "big": 9007199254740993, "f": 0.5, "whole": 32768.0, "e": 1e-6, "b": true, "s": "x\u00e9", "n": null,
    "l": [1, 2], "d": [0.5, 1], "t": ["a", "b"], "ll": [[3, 3], [2]], "o": {"k": 1}, "objects": [{"a": 1}, {"a": 2}]})");
  EXPECT_EQ(c.integer("i"), 7);
  EXPECT_EQ(c.integer("big"), 9007199254740993);
  EXPECT_EQ(c.integer("whole"), 32768);
  EXPECT_EQ(c.number("f"), 0.5);
  EXPECT_EQ(c.number("i"), 7.0);
  EXPECT_EQ(c.number("e"), 1e-6);
  EXPECT_TRUE(c.boolean("b"));
  EXPECT_EQ(c.text("s"), "x\xc3\xa9");
  EXPECT_FALSE(c.has("n"));
  EXPECT_EQ(c.integer("n", 5), 5);
  EXPECT_EQ(c.integer("absent", 6), 6);
  EXPECT_EQ(c.text("absent", "d"), "d");
  EXPECT_THAT(c.integers("l"), ElementsAre(1, 2));
  EXPECT_THAT(c.integers("i", /*scalar_ok=*/true), ElementsAre(7));
  EXPECT_TRUE(c.is_list("l"));
  EXPECT_FALSE(c.is_list("i"));
  EXPECT_THAT(c.numbers("d"), ElementsAre(0.5, 1.0));
  EXPECT_THAT(c.texts("t"), ElementsAre("a", "b"));
  EXPECT_THAT(c.integer_lists("ll"), ElementsAre(ElementsAre(3, 3), ElementsAre(2)));
  EXPECT_EQ(c.object("o").integer("k"), 1);
  EXPECT_EQ(c.object("absent").integer("k", 3), 3);
  EXPECT_EQ(c.objects("objects").at(1).integer("a"), 2);
  EXPECT_TRUE(c.objects("absent").empty());
}

TEST(JsonConfig, ErrorsNameFileKeyWantedAndFound) {
  const Config c = parsed(
      R"({"text_config": {"hidden_size": "big", "layers": -1, "list": [1, "x"], "half": 0.5, "huge": 99999999999999999999}})");
  const Config text = c.object("text_config");
  EXPECT_ERROR(ErrorCode::kBadFile, text.integer("hidden_size"),
               "config.json: text_config: hidden_size: expected an integer, found \"big\"");
  EXPECT_ERROR(ErrorCode::kBadFile, text.integer("layers", 30, 1, 1000),
               "expected an integer between 1 and 1000, found -1");
  EXPECT_ERROR(ErrorCode::kBadFile, text.integer("half"), "expected an integer, found 0.5");
  EXPECT_ERROR(ErrorCode::kBadFile, text.integer("huge"), "expected an integer, found 1e+20");
  EXPECT_ERROR(ErrorCode::kBadFile, text.integer("absent"), "absent: expected an integer, found no such key");
  EXPECT_ERROR(ErrorCode::kBadFile, text.integers("list"), "one item is \"x\"");
  EXPECT_ERROR(ErrorCode::kBadFile, text.object("layers"), "expected an object, found -1");
  EXPECT_ERROR(ErrorCode::kBadFile, text.boolean("layers"), "true or false");
  EXPECT_ERROR(ErrorCode::kBadFile, text.objects("list"), "a list of objects");
}

TEST(JsonConfig, TakesWhatPythonWrites) {
  const Config c =
      parsed(R"({"a": NaN, "b": -Infinity, "c": [Infinity, 1], "s": "NaN and \"Infinity\"", "k": 1, "k": 2})");
  EXPECT_TRUE(std::isnan(c.number("a")));
  EXPECT_EQ(c.number("b"), -INFINITY);
  EXPECT_EQ(c.numbers("c").at(0), INFINITY);
  EXPECT_EQ(c.text("s"), "NaN and \"Infinity\"");
  EXPECT_EQ(c.integer("k"), 2);
  EXPECT_ERROR(ErrorCode::kBadFile, c.integer("b"), "expected an integer");
}

TEST(JsonConfig, NoTextIsTakenForPythonsWords) {
  const Config c = parsed(R"({"a": "\u0001g3n:NaN", "b": "N", "c": ["\\", NaN, "\"Infinity", -Infinity]})");
  EXPECT_EQ(c.text("a"), "\x01g3n:NaN");
  EXPECT_EQ(c.text("b"), "N");
  EXPECT_TRUE(c.is_list("c"));
  EXPECT_ERROR(ErrorCode::kBadFile, parsed(R"({"a": [NaNa]})"), "not valid JSON");
}

TEST(JsonConfig, RefusesWhatIsNotAnObject) {
  EXPECT_ERROR(ErrorCode::kBadFile, parsed("{\"a\": 1"), "config.json: not valid JSON, at byte");
  EXPECT_ERROR(ErrorCode::kBadFile, parsed(""), "not valid JSON");
  EXPECT_ERROR(ErrorCode::kBadFile, parsed("[1]"), "expected a JSON object, found a list of 1");
  EXPECT_ERROR(ErrorCode::kBadFile, parsed("{} x"), "not valid JSON");
  EXPECT_ERROR(ErrorCode::kBadFile, parsed("{\"a\": 1e999}"), "not valid JSON");
  EXPECT_ERROR(ErrorCode::kBadFile, parsed("{\"a\": \"\xff\"}"), "not valid JSON");
  EXPECT_ERROR(ErrorCode::kBadFile, parsed("{\"a\": " + std::string(100000, '[')), "nested deeper than");
}

TEST(JsonConfig, FilesThatAreNotConfigs) {
  const TemporaryFolder folder;
  EXPECT_EQ(Config::load(folder.write("bom.json", "\xef\xbb\xbf{\"a\": 1}")).integer("a"), 1);
  EXPECT_ERROR(
      ErrorCode::kBadFile,
      Config::load(folder.write("lfs.json", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")),
      "lfs.json", "git-lfs");
  EXPECT_ERROR(ErrorCode::kNotFound, Config::load(folder / "absent.json"), "absent.json: cannot open");
  EXPECT_ERROR(ErrorCode::kInvalidArgument, Config::load(folder.path()), "found a folder");
  EXPECT_ERROR(ErrorCode::kBadFile, Config::load(folder.write("empty.json", "")), "not valid JSON");
}

TEST(JsonConfig, UnreadableFile) {
  if (::geteuid() == 0) GTEST_SKIP() << "root reads everything";
  const TemporaryFolder folder;
  const std::string path = folder.write("secret.json", "{}");
  std::filesystem::permissions(path, std::filesystem::perms::none);
  EXPECT_ERROR(ErrorCode::kInvalidArgument, Config::load(path), "cannot open: Permission denied");
}

}  // namespace
}  // namespace g3n::testing
