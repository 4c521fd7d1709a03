// Roles, parts and media of spec/server.md 4.
#include "server/messages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace g3n::testing {
namespace {

using server::ApiError;
using server::decode_base64;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr server::MediaRules kAll{.has_vision = true, .has_audio = true, .default_image_size = 768};

server::ApiChat read(const std::string& json, std::optional<bool> generation = {}, std::optional<bool> continued = {},
                     const server::MediaRules& rules = kAll) {
  return server::read_messages(server::parse_body(json), generation, continued, rules);
}

// "user: text [image]" per message.
std::vector<std::string> turns(const std::string& json) {
  std::vector<std::string> out;
  for (const Message& message : read(json).prompt.messages) {
    std::string text = message.role + ":";
    for (const Part& part : message.parts)
      text += std::holds_alternative<TextPart>(part)    ? " " + std::get<TextPart>(part).text
              : std::holds_alternative<ImagePart>(part) ? " [image]"
                                                        : " [audio]";
    out.push_back(text);
  }
  return out;
}

ApiError refusal_of(const std::string& json, const server::MediaRules& rules = kAll) {
  try {
    read(json, {}, {}, rules);
  } catch (const ApiError& error) {
    return error;
  }
  ADD_FAILURE() << "no error: " << json;
  return ApiError(0, "", "");
}

const char* kPng = "data:image/png;base64,iVBORw0KGgo=";

TEST(Messages, LeadingSystemAndDeveloperTextsAreJoined) {
  EXPECT_THAT(
      turns(
          R"([{"role":"system","content":"a"},{"role":"developer","content":[{"type":"text","text":"b"}]},{"role":"user","content":"hi"}])"),
      ElementsAre("system: a\n\nb", "user: hi"));
}

TEST(Messages, ALaterSystemTextGoesToTheNextUserTurnOrIsOne) {
  EXPECT_THAT(
      turns(
          R"([{"role":"user","content":"1"},{"role":"assistant","content":"2"},{"role":"system","content":"s"},{"role":"user","content":"3"}])"),
      ElementsAre("user: 1", "assistant: 2", "user: s\n\n3"));
  EXPECT_THAT(
      turns(
          R"([{"role":"user","content":"1"},{"role":"system","content":"s"},{"role":"assistant","content":"2"},{"role":"user","content":"3"}])"),
      ElementsAre("user: 1", "assistant: 2", "user: s\n\n3"));
  EXPECT_THAT(
      turns(R"([{"role":"user","content":"1"},{"role":"assistant","content":"2"},{"role":"system","content":"s"}])"),
      ElementsAre("user: 1", "assistant: 2", "user: s"));
  EXPECT_THAT(turns(R"([{"role":"system","content":"only"}])"), ElementsAre("user: only"));
}

TEST(Messages, NeighboursAreMergedAndAFirstAssistantGetsAUser) {
  EXPECT_THAT(
      turns(
          R"([{"role":"user","content":" a "},{"role":"user","content":"b"},{"role":"assistant"},{"role":"assistant","content":"c"},{"role":"user","content":null}])"),
      ElementsAre("user: a\n\nb", "assistant: c", "user:"));
  EXPECT_THAT(turns(R"([{"role":"assistant","content":"hello"},{"role":"user","content":"x"}])"),
              ElementsAre("user:", "assistant: hello", "user: x"));
  EXPECT_THAT(turns(std::string(R"([{"role":"user","content":[{"type":"image_url","image_url":{"url":")") + kPng +
                    R"("}}]},{"role":"user","content":"what?"}])"),
              ElementsAre("user: [image] what?"));
}

TEST(Messages, ALastAssistantMessageIsContinuedUnlessAsked) {
  const std::string json = R"([{"role":"user","content":"1"},{"role":"assistant","content":"2"}])";
  EXPECT_TRUE(read(json).prompt.continue_final_message);
  EXPECT_FALSE(read(json).prompt.add_generation_prompt);
  EXPECT_FALSE(read(json, {}, false).prompt.continue_final_message);
  EXPECT_TRUE(read(json, {}, false).prompt.add_generation_prompt);
  EXPECT_FALSE(read(json, true).prompt.continue_final_message);
  EXPECT_THROW(read(R"([{"role":"user","content":"1"}])", {}, true), ApiError);
  EXPECT_THROW(read(json, true, true), ApiError);
  // What ends in a picture cannot go on, but may be followed by an answer.
  const std::string picture = R"([{"role":"user","content":"1"},{"role":"assistant","content":[{"type":"image_url",)"
                              R"("image_url":")" +
                              std::string(kPng) + R"("}]}])";
  EXPECT_TRUE(read(picture, true).prompt.add_generation_prompt);
}

TEST(Messages, WhatIsRefusedAndWhere) {
  struct Case {
    std::string json, code, param;
  };
  const auto part = [](const std::string& p) { return R"([{"role":"user","content":[)" + p + "]}]"; };
  const Case cases[] = {
      {"[]", "invalid_value", "messages"},
      {"{}", "invalid_type", "messages"},
      {"[1]", "invalid_type", "messages[0]"},
      {R"([{"content":"x"}])", "missing_required_parameter", "messages[0].role"},
      {R"([{"role":"robot","content":"x"}])", "invalid_value", "messages[0].role"},
      {R"([{"role":"tool","content":"x"}])", "unsupported_value", "messages[0].role"},
      {R"([{"role":"user","content":5}])", "invalid_type", "messages[0].content"},
      {R"([{"role":"user","content":"x"},{"role":"assistant","tool_calls":[{"id":"1"}]}])", "unsupported_parameter",
       "messages[1].tool_calls"},
      {R"([{"role":"assistant","function_call":{"name":"f"}}])", "unsupported_parameter", "messages[0].function_call"},
      {part(R"({"type":"poem"})"), "unsupported_value", "messages[0].content[0].type"},
      {part(R"({"text":"x"})"), "missing_required_parameter", "messages[0].content[0].type"},
      {part(R"({"type":"video_url","video_url":{"url":"x"}})"), "unsupported_value", "messages[0].content[0].type"},
      {part(R"({"type":"image_url","image_url":{"url":"https://example.org/a.png"}})"), "invalid_media",
       "messages[0].content[0].image_url.url"},
      {part(R"({"type":"image_url","image_url":"file:///etc/passwd"})"), "invalid_media",
       "messages[0].content[0].image_url"},
      {part(R"({"type":"image_url","image_url":"../../x.png"})"), "invalid_media", "messages[0].content[0].image_url"},
      {part(R"({"type":"image_url","image_url":"data:image/png;base64,"})"), "invalid_media",
       "messages[0].content[0].image_url"},
      {part(R"({"type":"image_url","image_url":"data:image/png,abc"})"), "invalid_media",
       "messages[0].content[0].image_url"},
      {part(R"({"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA","detail":"huge"}})"),
       "invalid_value", "messages[0].content[0].image_url.detail"},
      {part(R"({"type":"input_audio","input_audio":{"data":"!!!!"}})"), "invalid_media",
       "messages[0].content[0].input_audio.data"},
      {part(R"({"type":"file","file":{"file_id":"f1"}})"), "unsupported_parameter",
       "messages[0].content[0].file.file_id"},
      {std::string(
           R"([{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"image_url","image_url":")") +
           kPng + R"("}]}])",
       "invalid_value", "messages[1].content"},
      {std::string(R"([{"role":"system","content":[{"type":"image_url","image_url":")") + kPng +
           R"("}]},{"role":"user","content":"x"}])",
       "unsupported_parameter", "messages[0].content"},
  };
  for (const Case& c : cases) {
    const ApiError error = refusal_of(c.json);
    EXPECT_EQ(error.code, c.code) << c.json;
    EXPECT_EQ(error.param, c.param) << c.json;
    EXPECT_EQ(error.status, 400);
  }
  EXPECT_THAT(refusal_of(part(R"({"type":"image_url","image_url":"http://x/y"})")).message,
              HasSubstr("--allow-media-host"));
  EXPECT_EQ(
      refusal_of(part(std::string(R"({"type":"input_image","image_url":")") + kPng + "\"}"), {.has_audio = true}).code,
      "unsupported_value");
}

TEST(Messages, TheBytesDecideWhatAMediumIs) {
  const std::string wav = "UklGRgAAAABXQVZF";  // RIFF....WAVE
  EXPECT_THAT(turns(R"([{"role":"user","content":[{"type":"image_url","image_url":")" + wav +
                    R"("},{"type":"input_audio","input_audio":{"data":")" + kPng + R"(","format":"mp3"}}]}])"),
              ElementsAre("user: [audio] [image]"));
  const std::string heic = "AAAAHGZ0eXBoZWlj", m4a = "AAAAHGZ0eXBNNEEg";  // ....ftypheic, ....ftypM4A
  EXPECT_THAT(turns(R"([{"role":"user","content":[{"type":"image_url","image_url":")" + heic +
                    R"("},{"type":"image_url","image_url":")" + m4a + R"("}]}])"),
              ElementsAre("user: [image] [audio]"));
}

TEST(Messages, DetailPicksASizeThatIsNoLargerThanTheDefault) {
  const auto size = [](const std::string& detail, int default_size) {
    const auto chat = read(R"([{"role":"user","content":[{"type":"image_url","image_url":{"url":")" +
                               std::string(kPng) + R"(","detail":")" + detail + R"("}}]}])",
                           {}, {}, {.has_vision = true, .default_image_size = default_size});
    return std::get<ImagePart>(chat.prompt.messages[0].parts[0]).size;
  };
  EXPECT_EQ(size("low", 768), 256);
  EXPECT_EQ(size("medium", 768), 512);
  EXPECT_EQ(size("medium", 256), 0);
  EXPECT_EQ(size("auto", 768), 0);
}

TEST(Messages, TextFilesBecomeTextAndPastFieldsAreNamed) {
  EXPECT_THAT(
      turns(
          R"([{"role":"user","content":[{"type":"file","file":{"filename":"a.txt","file_data":"data:text/plain;base64,aGVsbG8="}}]}])"),
      ElementsAre("user: a.txt\nhello"));
  const auto chat = read(
      R"([{"role":"user","content":"x","name":"bob"},{"role":"assistant","content":[{"type":"thinking","thinking":"hm"},{"type":"text","text":"y"}],"reasoning":"r","tool_calls":[]},{"role":"user","content":"z"}])");
  EXPECT_THAT(chat.ignored, ElementsAre("messages[0].name", "messages[1].content[0]", "messages[1].reasoning"));
}

TEST(Base64, AlphabetsPaddingAndWhiteSpace) {
  const auto text = [](const std::string& in) {
    const auto bytes = decode_base64(in);
    return bytes ? std::string(bytes->begin(), bytes->end()) : "none";
  };
  EXPECT_EQ(text("aGk="), "hi");
  EXPECT_EQ(text("aGk"), "hi");
  EXPECT_EQ(text(" a\nG k = "), "hi");
  EXPECT_EQ(text("-_8="), text("+/8="));
  EXPECT_EQ(text(""), "");
  for (const char* bad : {"a", "aGk==", "aG=k", "a*==", "aaaa="}) EXPECT_EQ(text(bad), "none") << bad;
}

}  // namespace
}  // namespace g3n::testing
