// The field reader: every 400 of the table in spec/server.md 3.
#include "server/json_fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace g3n::testing {
namespace {

using server::ApiError;
using server::Fields;
using server::parse_body;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <class F>
ApiError error_of(F f) {
  try {
    f();
  } catch (const ApiError& error) {
    return error;
  }
  ADD_FAILURE() << "no error";
  return ApiError(0, "", "");
}

TEST(ParseBody, RefusesWhatIsNoJson) {
  for (const std::string& bad :
       {std::string(""), std::string("{"), std::string("{} x"), std::string("{'a':1}"), std::string("[1,]"),
        std::string("{\"a\":\"\xFF\"}"), std::string("{\"a\":1,\"a\":2}"), std::string("{\"a\":NaN}"),
        std::string("{\"a\":1e999}"), std::string(65, '[') + std::string(65, ']')}) {
    const ApiError error = error_of([&] { parse_body(bad); });
    EXPECT_EQ(error.status, 400) << bad;
    EXPECT_EQ(error.code, "invalid_json") << bad;
    EXPECT_THAT(error.message, HasSubstr("at byte")) << bad;
  }
  EXPECT_NO_THROW(parse_body(std::string(64, '[') + std::string(64, ']')));
}

TEST(Fields, TypesRangesAndNull) {
  const JsonNode body = parse_body(R"({"i":5.0,"half":5.5,"big":1e300,"s":"5","b":"true","n":null,"t":7})");
  Fields fields(body, "");
  EXPECT_EQ(fields.integer("i", 0, 9), 5);
  EXPECT_EQ(fields.integer("n", 0, 9), std::nullopt);
  EXPECT_EQ(fields.text("absent"), std::nullopt);
  EXPECT_EQ(error_of([&] { fields.integer("half", 0, 9); }).code, "invalid_type");
  EXPECT_EQ(error_of([&] { fields.integer("big", 0, 9); }).code, "invalid_value");
  EXPECT_EQ(error_of([&] { fields.integer("s", 0, 9); }).code, "invalid_type");
  EXPECT_EQ(error_of([&] { fields.number("s", 0, 9); }).code, "invalid_type");
  EXPECT_EQ(error_of([&] { fields.boolean("b"); }).code, "invalid_type");
  EXPECT_EQ(error_of([&] { fields.text("t"); }).code, "invalid_type");
  const ApiError range = error_of([&] { fields.integer("t", 0, 6); });
  EXPECT_EQ(range.code, "invalid_value");
  EXPECT_EQ(range.param, "t");
  EXPECT_EQ(range.message, "expected an integer from 0 to 6, found 7");
  const ApiError missing = error_of([&] { fields.required("absent"); });
  EXPECT_EQ(missing.code, "missing_required_parameter");
  EXPECT_EQ(missing.param, "absent");
  EXPECT_EQ(error_of([&] { Fields(*body.find("i"), "a[0]"); }).param, "a[0]");
}

TEST(Fields, NothingIsDroppedInSilence) {
  const JsonNode body = parse_body(R"({"known":1,"user":"me","nope":{},"typical_p":1,"empty":[]})");
  Fields fields(body, "x");
  fields.integer("known", 0, 9);
  fields.ignore("user");
  fields.ignore("store");
  fields.neutral("typical_p", 1);
  fields.refuse("empty", "no");
  EXPECT_THAT(fields.ignored(false), ElementsAre("x.user", "x.typical_p", "x.nope"));
  EXPECT_EQ(error_of([&] { fields.ignored(true); }).code, "unsupported_parameter");
}

TEST(Fields, RefusesWhatWouldChangeTheAnswer) {
  const JsonNode body = parse_body(R"({"typical_p":0.9,"tools":[{}],"beam":true})");
  Fields fields(body, "");
  EXPECT_EQ(error_of([&] { fields.neutral("typical_p", 1); }).code, "unsupported_parameter");
  EXPECT_EQ(error_of([&] { fields.neutral("beam", 0); }).param, "beam");
  EXPECT_EQ(error_of([&] { fields.refuse("tools", "no"); }).param, "tools");
}

TEST(Quoted, CutsAndEscapes) {
  EXPECT_EQ(server::quoted("a\"b\n"), "\"a\\\"b \"");
  const std::string cut = server::quoted(std::string(100, 'a'));
  EXPECT_EQ(cut, "\"" + std::string(40, 'a') + "...\"");
}

}  // namespace
}  // namespace g3n::testing
