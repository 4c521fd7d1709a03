// Texts to trees: order, kinds, and what the rules refuse.
#include "json/tree.h"

#include <cmath>

#include "support/errors.h"

namespace g3n::testing {
namespace {

using ::testing::ElementsAre;

JsonNode parse(std::string_view text, const JsonRules& rules = {}) { return parse_json_tree(text, "x.json", rules); }

std::vector<std::string> keys(const JsonNode& node) {
  std::vector<std::string> out;
  for (const auto& [key, value] : *node.object()) out.push_back(key);
  return out;
}

TEST(JsonTree, HoldsEveryKindInItsOrder) {
  const JsonNode root =
      parse(R"({"z": 1, "a": [true, null, "x\u00e9", -2.5, 99999999999999999999, []], "m": {"k": {}}})");
  EXPECT_THAT(keys(root), ElementsAre("z", "a", "m"));
  EXPECT_EQ(std::get<int64_t>(root.find("z")->value), 1);
  const JsonList& list = *root.find("a")->list();
  ASSERT_EQ(list.size(), 6u);
  EXPECT_TRUE(*list[0].boolean());
  EXPECT_TRUE(list[1].is_null());
  EXPECT_EQ(*list[2].text(), "x\xc3\xa9");
  EXPECT_EQ(std::get<double>(list[3].value), -2.5);
  EXPECT_EQ(std::get<double>(list[4].value), 1e20);
  EXPECT_TRUE(list[5].list()->empty());
  EXPECT_TRUE(root.find("m")->find("k")->object()->empty());
  EXPECT_EQ(root.find("absent"), nullptr);
  EXPECT_EQ(list[0].find("z"), nullptr);
  EXPECT_EQ(list[0].text(), nullptr);
  EXPECT_EQ(std::get<int64_t>(parse("\xef\xbb\xbf 7 ").value), 7);
}

TEST(JsonTree, AKeyGivenTwice) {
  const char* text = R"({"a": 1, "b": {"a": 2}, "a": 3})";
  const JsonNode root = parse(text);
  EXPECT_THAT(keys(root), ElementsAre("a", "b"));
  EXPECT_EQ(std::get<int64_t>(root.find("a")->value), 3);
  const JsonRules strict = {.duplicates = JsonDuplicates::kRefused};
  EXPECT_ERROR(ErrorCode::kBadFile, parse(text, strict),
               "x.json: not valid JSON, at byte 27: the key \"a\" appears twice");
  EXPECT_NO_THROW(parse(R"([{"a": 1}, {"a": 1}])", strict));
}

TEST(JsonTree, DepthIsBounded) {
  EXPECT_NO_THROW(parse("[[[]]]", {.max_depth = 3}));
  EXPECT_ERROR(ErrorCode::kBadFile, parse("[[{}, [[", {.max_depth = 3}),
               "x.json: JSON nested deeper than 3 levels, at byte 8");
  EXPECT_NO_THROW(parse(std::string(200, '[') + std::string(200, ']')));
  EXPECT_ERROR(ErrorCode::kBadFile, parse(std::string(201, '[')), "nested deeper than 200 levels");
}

TEST(JsonTree, ErrorsSayTheByte) {
  try {
    parse(R"({"a": tru})");
    FAIL() << "was accepted";
  } catch (const JsonError& error) {
    EXPECT_EQ(error.byte(), 10u);
    EXPECT_THAT(error.what(), ::testing::StartsWith("x.json: not valid JSON, at byte 10: " + error.reason()));
  }
  EXPECT_ERROR(ErrorCode::kBadFile, parse(""), "not valid JSON, at byte");
  EXPECT_ERROR(ErrorCode::kBadFile, parse("[\"\xff\"]"), "not valid JSON, at byte");
  EXPECT_ERROR(ErrorCode::kBadFile, parse("[1] 2"), "not valid JSON, at byte");
}

TEST(JsonTree, PythonsWordsOnlyOnRequest) {
  EXPECT_ERROR(ErrorCode::kBadFile, parse("[NaN]"), "not valid JSON");
  const JsonNode root = parse("[NaN, -Infinity, Infinity, \"NaN\"]", {.non_finite = JsonNonFinite::kPython});
  const JsonList& list = *root.list();
  EXPECT_TRUE(std::isnan(std::get<double>(list[0].value)));
  EXPECT_EQ(std::get<double>(list[1].value), -INFINITY);
  EXPECT_EQ(std::get<double>(list[2].value), INFINITY);
  EXPECT_EQ(*list[3].text(), "NaN");
  // Offsets are those of the text as it was given.
  EXPECT_ERROR(ErrorCode::kBadFile, parse("[-Infinity, x]", {.non_finite = JsonNonFinite::kPython}), "at byte 13:");
}

// A handler that has what it came for does not read what follows.
TEST(JsonEvents, StopWhenNoMoreIsWanted) {
  struct FirstList : JsonEvents {
    int lists = 0;
    void on_null() override {}
    void on_boolean(bool) override {}
    void on_integer(int64_t) override {}
    void on_number(double) override {}
    void on_text(std::string&) override {}
    void on_object_begin() override {}
    void on_key(std::string&) override {}
    void on_object_end() override {}
    void on_list_begin() override {}
    void on_list_end() override { ++lists; }
    bool wants_more() const override { return lists == 0; }
  } events;
  parse_json(R"({"a": [1], "b": [2], this is no JSON)", "x.json", events);
  EXPECT_EQ(events.lists, 1);
}

TEST(JsonTree, ValuesAreCounted) {
  const JsonRules rules = {.max_values = 4};
  EXPECT_EQ(parse_json_tree("[1,2,[]]", "body", rules).list()->size(), 3u);
  for (const char* text : {"[1,2,3,4]", R"({"a":[1],"b":[2]})"})
    EXPECT_ERROR(ErrorCode::kBadFile, parse_json_tree(text, "body", rules), "more than 4 values");
}

}  // namespace
}  // namespace g3n::testing
