// What whoever runs the server sees and sets: limits, log, metrics, facts about the model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <mutex>

#include "golden/demo.h"
#include "json/writer.h"
#include "runtime/engine_impl.h"
#include "server/client.h"
#include "server/limits.h"
#include "support/errors.h"

namespace g3n::testing {
namespace {

using server::ServerOptions;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::string short_chat(const std::string& more, const std::string& headers = "") {
  return post("/v1/chat/completions", R"({"messages":[{"role":"user","content":"hi"}],"max_tokens":3)" + more + "}",
              headers);
}

TEST(Limits, NamesValuesAndUnits) {
  EXPECT_EQ(server::milliseconds_of("30"), 30'000);
  EXPECT_EQ(server::milliseconds_of("1.5s"), 1500);
  EXPECT_EQ(server::milliseconds_of("250ms"), 250);
  EXPECT_EQ(server::bytes_of("4096"), 4096);
  EXPECT_EQ(server::bytes_of("2KiB"), 2048);
  EXPECT_EQ(server::bytes_of("1.5GiB"), 3LL << 29);
  for (const char* bad : {"", "s", "-1s", "1 s", "1h", "nan", "1e99"})
    EXPECT_ERROR(ErrorCode::kInvalidArgument, server::milliseconds_of(bad), "a time such as");
  for (const char* bad : {"", "1MB", "MiB", "-5"})
    EXPECT_ERROR(ErrorCode::kInvalidArgument, server::bytes_of(bad), "a size such as");
  ServerOptions options;
  server::set_limit(options, "body-bytes=2MiB");
  server::set_limit(options, "write-stall=5s");
  server::set_limit(options, "audio-seconds=60");
  EXPECT_EQ(options.http.limits.body_bytes, std::size_t{2} << 20);
  EXPECT_EQ(options.http.limits.write_stall, std::chrono::seconds(5));
  EXPECT_EQ(options.limits.audio_seconds, 60);
  EXPECT_ERROR(ErrorCode::kInvalidArgument, server::set_limit(options, "media=0"), "media", "at least 1", "'0'");
  for (const char* bad : {"media=64KiB", "media=1.5", "messages=", "audio-seconds=60s", "connections=-1e3"})
    EXPECT_ERROR(ErrorCode::kInvalidArgument, server::set_limit(options, bad), "a whole number without a unit");
  EXPECT_EQ(options.limits.media, 64);
  EXPECT_ERROR(ErrorCode::kInvalidArgument, server::set_limit(options, "body-bytes=30s"), "body-bytes",
               "a size such as");
  EXPECT_ERROR(ErrorCode::kInvalidArgument, server::set_limit(options, "write-stall=1KiB"), "write-stall",
               "a time such as");
  EXPECT_ERROR(ErrorCode::kInvalidArgument, server::set_limit(options, "write-stall=1e13s"), "30 years");
  EXPECT_ERROR(ErrorCode::kInvalidArgument, server::set_limit(options, "colour=1"), "--limit help", "colour");
  EXPECT_THAT(server::limits_text(options), AllOf(HasSubstr("body-bytes=2MiB "), HasSubstr("write-stall=5000ms ")));
}

TEST(Limits, OfPicturesAreTheLibrarysOrLower) {
  ServerOptions options;
  EXPECT_THAT(server::limits_text(options), AllOf(HasSubstr("image-side=16384 "), HasSubstr("image-pixels=50000000 "),
                                                  HasSubstr("decode-time=20000ms ")));
  server::set_limit(options, "image-side=1000");
  server::set_limit(options, "image-pixels=500000");
  server::set_limit(options, "decode-time=5s");
  EXPECT_EQ(options.limits.image_side, 1000);
  EXPECT_EQ(options.limits.image_pixels, 500'000);
  EXPECT_EQ(options.limits.decode_time, std::chrono::seconds(5));
  EXPECT_ERROR(ErrorCode::kInvalidArgument, server::set_limit(options, "image-side=16385"), "image-side",
               "at most 16384");
  EXPECT_ERROR(ErrorCode::kInvalidArgument, server::set_limit(options, "image-pixels=50000001"), "at most 50000000");
}

TEST(Limits, OfARequest) {
  ServerOptions options;
  server::set_limit(options, "messages=2");
  server::set_limit(options, "media=1");
  TestServer server(fake_engine("red "), options);
  const std::string turn = R"({"role":"user","content":"a"})";
  EXPECT_EQ(
      server.ask(post("/v1/chat/completions", R"({"max_tokens":1,"messages":[)" + turn + "," + turn + "]}")).status,
      200);
  const Reply many =
      server.ask(post("/v1/chat/completions", R"({"messages":[)" + turn + "," + turn + "," + turn + "]}"));
  EXPECT_EQ(many.status, 400);
  EXPECT_EQ(many.at("error.param"), "messages");
  const std::string picture = R"({"type":"image_url","image_url":"iVBORw0KGgo="})";
  const Reply media = server.ask(
      post("/v1/chat/completions", R"({"messages":[{"role":"user","content":[)" + picture + "," + picture + "]}]}"));
  EXPECT_EQ(media.at("error.code"), "invalid_media");
  EXPECT_THAT(media.at("error.message"), HasSubstr("more than 1"));
}

TEST(Limits, MediaOfACompletionCountTogether) {
  ServerOptions options;
  server::set_limit(options, "media=2");
  TestServer server(fake_engine("red "), options);
  const auto ask = [&](const std::string& images, const std::string& audio) {
    return server.ask(
        post("/v1/completions", R"({"prompt":"a","images":[)" + images + R"(],"audio":[)" + audio + "]}"));
  };
  const std::string one = R"("iVBORw0KGgo=")", two = one + "," + one, three = two + "," + one;
  EXPECT_EQ(ask(two, "").at("error.param"), "prompt");
  const Reply images = ask(three, "");
  EXPECT_EQ(images.at("error.code"), "invalid_media");
  EXPECT_EQ(images.at("error.param"), "images[2]");
  EXPECT_THAT(images.at("error.message"), HasSubstr("more than 2"));
  EXPECT_EQ(ask(one, two).at("error.param"), "audio[1]");
  server::set_limit(options, "media=100");
  TestServer many(fake_engine("red "), options);
  std::string list = one;
  for (int i = 1; i < 80; ++i) list += "," + one;
  EXPECT_EQ(many.ask(post("/v1/completions", R"({"prompt":"a","images":[)" + list + "]}")).at("error.param"), "prompt");
}

TEST(Facts, PropsModelAndTokenizerTellTheCheckpoint) {
  TestServer server(fake_engine("red "));
  const Reply props = server.ask(get("/props"));
  EXPECT_THAT(props.at("chat_template"), HasSubstr("bos_token"));
  EXPECT_EQ(props.at("recipe"), "keep");
  EXPECT_EQ(props.at("limits.body_bytes"), std::to_string(64 << 20));
  EXPECT_EQ(props.at("limits.header_time_ms"), "10000");
  EXPECT_EQ(props.at("limits.media"), "64");
  const Reply tokenizer = server.ask(get("/tokenizer_info"));
  EXPECT_EQ(tokenizer.at("bos_token"), "<bos>");
  EXPECT_EQ(tokenizer.at("eos_token"), "<eos>");
  EXPECT_EQ(tokenizer.at("pad_token"), "<pad>");
  EXPECT_EQ(tokenizer.at("chat_template"), props.at("chat_template"));
  const Reply eos = server.ask(post("/tokenize", R"({"prompt":"<eos>","add_special_tokens":false})"));
  EXPECT_EQ(eos.at("count"), "1");
}

TEST(Facts, TheFingerprintTellsRecipeAndVariant) {
  ServerOptions options;
  options.variant = "-f32-kvq8";
  TestServer server(fake_engine("red "), options);
  EXPECT_THAT(server.ask(short_chat("")).at("system_fingerprint"), ::testing::EndsWith("-keep-f32-kvq8"));
}

// The demo with one piece fewer than its embedding table has rows; published checkpoints lack hundreds.
TEST(Facts, RowsWithoutAPieceHaveNoName) {
  TemporaryFolder folder;
  std::filesystem::copy(demo_folder(), folder.path(), std::filesystem::copy_options::recursive);
  std::filesystem::remove(folder / "tokenizer.model");
  JsonNode tokenizer = parse_json_tree(file_bytes(folder / "tokenizer.json"), "tokenizer");
  const auto member = [](JsonNode& node, const std::string& name) -> JsonNode& {
    for (auto& [key, value] : std::get<JsonObject>(node.value))
      if (key == name) return value;
    throw std::runtime_error("no " + name);
  };
  auto& added = std::get<JsonList>(member(tokenizer, "added_tokens").value);
  const std::int32_t last = std::stoi(text_at(added.back(), "id"));
  std::erase_if(std::get<JsonObject>(member(member(tokenizer, "model"), "vocab").value),
                [&](const auto& entry) { return entry.key == text_at(added.back(), "content"); });
  added.pop_back();
  folder.write("tokenizer.json", to_json(tokenizer));
  EngineOptions options;
  options.model = folder.path();
  options.load_weights = false;
  const auto tokens = Engine::open(options);
  ASSERT_EQ(tokens->info().vocab_size, last + 1);
  ASSERT_EQ(tokens->pieces(), last);
  FakeModelOptions model{.vocab_size = last + 1, .hidden_size = tokens->info().hidden_size, .script = {last}};
  TestServer server(EngineAccess::open_over(std::make_unique<FakeModel>(model), options));
  const Reply reply = server.ask(short_chat(R"(,"logprobs":true,"top_logprobs":3)"));
  EXPECT_EQ(reply.status, 200) << reply.body;
  const Reply echo = server.ask(post(
      "/v1/completions", R"({"echo":true,"logprobs":2,"max_tokens":2,"prompt":[)" + std::to_string(last) + ",5]}"));
  EXPECT_EQ(echo.status, 200) << echo.body;
  EXPECT_EQ(echo.at("choices.0.logprobs.tokens.0"), "");
  EXPECT_EQ(server.ask(post("/detokenize", "{\"tokens\":[" + std::to_string(last) + "]}")).at("content"), "");
}

TEST(Fields, IgnoredOnesInsideAnObjectAreNamed) {
  TestServer server(fake_engine("red "));
  const Reply reply = server.ask(short_chat(
      R"(,"stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false},"response_format":{"type":"text","x":1})"));
  EXPECT_THAT(reply.header("x-g3n-ignored"),
              AllOf(HasSubstr("stream_options.include_obfuscation"), HasSubstr("response_format.x")));
}

TEST(RequestLog, TextAndJsonWithoutContents) {
  for (const bool is_json : {false, true}) {
    ServerLog log;
    ServerOptions options;
    options.on_log = log.sink();
    options.is_log_json = is_json;
    options.access.keys = {{"me", "secret-key"}};
    TestServer server(fake_engine("the red star "), options);
    server.ask(short_chat("", "x-request-id: one\r\nAuthorization: Bearer secret-key\r\n"));
    server.ask(short_chat("", "x-request-id: two\r\nAuthorization: Bearer wrong-key\r\n"));
    const std::vector<std::string> lines = log.lines();
    ASSERT_EQ(lines.size(), 2u);
    for (const std::string& line : lines)
      EXPECT_THAT(line, AllOf(Not(HasSubstr("secret-key")), Not(HasSubstr("wrong-key")), Not(HasSubstr("\"hi\""))));
    if (is_json) {
      const JsonNode first = parse_json_tree(lines[0], "log");
      EXPECT_EQ(text_at(first, "id"), "one");
      EXPECT_EQ(text_at(first, "key"), "me");
      EXPECT_EQ(text_at(first, "status"), "200");
      EXPECT_EQ(text_at(first, "endpoint"), "/v1/chat/completions");
      EXPECT_THAT(text_at(first, "tokens"), ::testing::EndsWith("+3"));
      EXPECT_EQ(text_at(parse_json_tree(lines[1], "log"), "finish"), "invalid_api_key");
    } else {
      EXPECT_THAT(lines[0],
                  AllOf(HasSubstr(" one me POST /v1/chat/completions 200 "), HasSubstr("+3 "), HasSubstr("ms length")));
    }
  }
}

TEST(RequestLog, ContentsOnlyIfAskedFor) {
  ServerLog log;
  ServerOptions options;
  options.on_log = log.sink();
  options.logs_content = true;
  TestServer server(fake_engine("the red star "), options);
  const Reply reply = server.ask(short_chat(R"(,"temperature":0)"));
  const std::vector<std::string> lines = log.lines();
  EXPECT_THAT(lines, ::testing::Contains(HasSubstr(R"(asked: {"messages":[{"role":"user","content":"hi"}])")));
  EXPECT_THAT(lines, ::testing::Contains(HasSubstr("answered: " + reply.at("choices.0.message.content"))));
}

TEST(MetricsText, HistogramsOfTokensAndTimes) {
  TestServer server(fake_engine("the red star "));
  server.ask(short_chat(""));
  EXPECT_EQ(server.metric("g3n_completion_length_tokens_bucket{model=\"demo\",le=\"4\"}"), "1");
  EXPECT_EQ(server.metric("g3n_completion_length_tokens_sum"), "3");
  EXPECT_EQ(server.metric("g3n_inter_token_seconds_count"), "2");
  EXPECT_EQ(server.metric("g3n_time_to_first_token_seconds_count"), "1");
  EXPECT_GT(std::stoll(server.metric("g3n_resident_bytes")), 1 << 20);
}

TEST(MetricsText, RowsOfSteps) {
  const auto engine = fake_engine("the red star ");
  TestServer server(engine);
  EXPECT_EQ(server.metric("g3n_step_rows_count"), "0");
  // A step of the prompt, then one for each token but the first.
  server.ask(post("/v1/completions", R"({"prompt":[2,5,5,5,5,5],"max_tokens":3,"temperature":0})"));
  ASSERT_TRUE(comes_true([&] { return server.metric("g3n_steps_total") == "3"; }));  // counted behind the answer
  const auto at_most = [&](const std::string& rows) {
    return server.metric("g3n_step_rows_bucket{model=\"demo\",le=\"" + rows + "\"}");
  };
  EXPECT_EQ(at_most("1"), "2");
  EXPECT_EQ(at_most("4"), "2");
  EXPECT_EQ(at_most("8"), "3");
  EXPECT_EQ(at_most("512"), "3");
  EXPECT_EQ(at_most("+Inf"), "3");
  EXPECT_EQ(server.metric("g3n_step_rows_sum"), "8");
  EXPECT_EQ(engine->stats().step_rows[3], 1);
}

}  // namespace
}  // namespace g3n::testing
