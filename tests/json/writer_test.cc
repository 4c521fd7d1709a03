// Trees to texts. The JSON library, which reads for us, says how numbers and texts should look.
#include "json/writer.h"

#include <bit>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "support/errors.h"

namespace g3n::testing {
namespace {

TEST(JsonWriter, WritesEveryKind) {
  const JsonNode node = {JsonObject{{"n", {nullptr}},
                                    {"b", {true}},
                                    {"i", {int64_t{-7}}},
                                    {"d", {2.0}},
                                    {"t", {"x"}},
                                    {"l", {JsonList{{int64_t{1}}, {JsonList{}}}}},
                                    {"o", {JsonObject{}}}}};
  EXPECT_EQ(to_json(node), R"({"n":null,"b":true,"i":-7,"d":2.0,"t":"x","l":[1,[]],"o":{}})");
  EXPECT_EQ(to_json({JsonObject{{"a", {JsonList{{int64_t{1}}, {"x"}}}}}}, {.indent = 1}),
            "{\n \"a\": [\n  1,\n  \"x\"\n ]\n}");
}

TEST(JsonWriter, EscapesTextsAndRepairsThem) {
  EXPECT_EQ(json_string("a\"\\\b\f\n\r\t\x01\x1f/\x7f"), R"("a\"\\\b\f\n\r\t\u0001\u001f/)"
                                                         "\x7f\"");
  EXPECT_EQ(json_string(std::string_view("\0", 1)), "\"\\u0000\"");
  EXPECT_EQ(json_string("\xc3\xbc\xf0\x9f\x98\x80"), "\"\xc3\xbc\xf0\x9f\x98\x80\"");
  EXPECT_EQ(json_string("a\xff"
                        "b\xe2\x96"),
            "\"a\xef\xbf\xbd"
            "b\xef\xbf\xbd\"");
  EXPECT_EQ(to_json({JsonObject{{"\n", {"\xff"}}}}), "{\"\\n\":\"\xef\xbf\xbd\"}");
}

void expect_reads_back(double value) {
  const JsonNode back = parse_json_tree(to_json({value}), "number");
  ASSERT_EQ(std::bit_cast<uint64_t>(std::get<double>(back.value)), std::bit_cast<uint64_t>(value)) << to_json({value});
}

TEST(JsonWriter, NumbersLookAsThoseOfTheLibrary) {
  std::vector<double> values = {
      0.0,   -0.0, 1.0,   -1.5,   0.1,    1e15,  1e16,  123456789012345.0, 1234567890123456.0,
      1e-3,  1e-4, 1e-5,  1e300,  5e-324, 1e-10, 1e5,   1.25e21,           0.00012345,
      12e-6, 1e14, 99e13, 1.5e15, 1.5e14, -3e99, 1e100, 2.5e-100,          std::numeric_limits<double>::max()};
  for (int i = -5000; i < 5000; ++i) values.push_back(i / 1000.0);
  for (const double value : values) {
    ASSERT_EQ(to_json({value}), nlohmann::json(value).dump());
    expect_reads_back(value);
  }
}

TEST(JsonWriter, NumbersReadBackAndAreNoLonger) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 20000; ++i) {
    const double value = std::bit_cast<double>(random());
    if (!std::isfinite(value)) continue;
    ASSERT_LE(to_json({value}).size(), nlohmann::json(value).dump().size());  // which is not always the shortest
    expect_reads_back(value);
  }
}

TEST(JsonWriter, NonFiniteNumbers) {
  const JsonNode node = {JsonList{{NAN}, {INFINITY}, {-INFINITY}}};
  EXPECT_EQ(to_json(node), "[null,null,null]");
  EXPECT_EQ(to_json(node, {.non_finite = JsonNonFinite::kPython}), "[NaN,Infinity,-Infinity]");
}

}  // namespace
}  // namespace g3n::testing
