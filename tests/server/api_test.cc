// The API over loopback with a scripted model: every field that is accepted, ignored or refused, and what comes back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <mutex>

#include "golden/demo.h"
#include "server/client.h"

namespace g3n::testing {
namespace {

using namespace std::chrono_literals;
using server::ServerOptions;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// One server for most tests: its model answers "The quick brown fox ..." at the position of a prompt.
class Api : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    engine_ = new std::shared_ptr<Engine>(fake_engine("the red circle and the blue star "));
    server_ = new TestServer(*engine_);
  }
  static void TearDownTestSuite() {
    delete server_;
    delete engine_;
  }
  static Reply ask(const std::string& request) { return server_->ask(request); }
  static std::shared_ptr<Engine>* engine_;
  static TestServer* server_;
};
std::shared_ptr<Engine>* Api::engine_ = nullptr;
TestServer* Api::server_ = nullptr;

TEST_F(Api, SmallEndpoints) {
  EXPECT_EQ(ask(get("/health")).body, R"({"status":"ok"})");
  EXPECT_EQ(ask(get("/v1/health")).status, 200);
  EXPECT_EQ(ask(get("/live")).status, 200);
  EXPECT_EQ(ask(get("/")).body, "g3n is running\n");
  const Reply models = ask(get("/v1/models?limit=5"));
  EXPECT_EQ(models.at("data.0.id"), "demo");
  EXPECT_EQ(models.at("models"), "[]");
  EXPECT_EQ(models.at("data.0.owned_by"), "google");
  EXPECT_EQ(ask(get("/models/demo")).at("id"), "demo");
  EXPECT_EQ(ask(get("/v1/models/other")).at("error.code"), "model_not_found");
  const Reply props = ask(get("/props"));
  EXPECT_EQ(props.at("modalities.vision"), "true");
  EXPECT_EQ(props.at("grammar"), "false");
  EXPECT_THAT(props.body, Not(HasSubstr("/work")));
  Socket head(server_->port());
  head.send("HEAD /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n" + get("/live"));
  EXPECT_EQ(head.reply(true).status, 200);
  EXPECT_EQ(head.reply().status, 200);
}

TEST_F(Api, HeadersOfEveryResponse) {
  const Reply reply = ask(get("/health", "x-request-id: my-id_1\r\n"));
  EXPECT_EQ(reply.header("x-request-id"), "my-id_1");
  EXPECT_EQ(reply.header("X-Content-Type-Options"), "nosniff");
  EXPECT_EQ(reply.header("Referrer-Policy"), "no-referrer");
  EXPECT_THAT(ask(get("/nothing", "x-request-id: no good\r\n")).header("x-request-id"), HasSubstr("req_"));
}

TEST_F(Api, PathsAndMethods) {
  EXPECT_EQ(ask(get("/nothing")).at("error.code"), "not_found");
  const Reply wrong = ask(get(kChat));
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.header("Allow"), "POST, OPTIONS");
  EXPECT_EQ(ask(get("/../etc/passwd")).status, 400);
  EXPECT_EQ(ask(get("/health/")).status, 404);
}

TEST_F(Api, WhatIsNotBuiltSaysSo) {
  for (const char* path :
       {"/v1/responses", "/v1/responses/input_tokens", "/v1/audio/transcriptions", "/v1/audio/translations",
        "/v1/embeddings", "/v1/moderations", "/v1/rerank", "/v1/images/generations", "/v1/audio/speech"}) {
    const Reply reply = ask(post(path, "{}"));
    EXPECT_EQ(reply.status, 404) << path;
    EXPECT_EQ(reply.at("error.code"), "unsupported_endpoint") << path;
    EXPECT_EQ(reply.header("x-should-retry"), "false");
  }
  EXPECT_EQ(ask(post("/v1/messages", "{}")).at("error.type"), "not_found_error");
  EXPECT_THAT(ask(post("/api/chat", "{}")).at("error"), HasSubstr("/v1/chat/completions"));
}

TEST_F(Api, OriginsHostsAndPreflight) {
  const Reply foreign = ask(get("/health", "Origin: http://evil.org\r\n"));
  EXPECT_EQ(foreign.status, 403);
  EXPECT_EQ(foreign.at("error.code"), "origin_not_allowed");
  EXPECT_THAT(foreign.at("error.message"), AllOf(HasSubstr("evil.org"), HasSubstr("--cors")));
  EXPECT_EQ(ask(get("/health", "Origin: http://localhost:3000\r\n")).header("Access-Control-Allow-Origin"),
            "http://localhost:3000");
  EXPECT_EQ(ask("GET /health HTTP/1.1\r\nHost: evil.org\r\n\r\n").at("error.code"), "host_not_allowed");
  const Reply preflight =
      ask("OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost:1\r\n"
          "Access-Control-Request-Headers: x-stainless-os, authorization\r\n\r\n");
  EXPECT_EQ(preflight.status, 204);
  EXPECT_EQ(preflight.header("Access-Control-Allow-Headers"), "x-stainless-os, authorization");
  EXPECT_EQ(preflight.header("Access-Control-Max-Age"), "600");
  EXPECT_EQ(preflight.header("Vary"), "Origin");
}

TEST_F(Api, BodiesThatAreNotTaken) {
  EXPECT_EQ(ask(post(kChat, "{")).at("error.code"), "invalid_json");
  EXPECT_EQ(ask(post(kChat, "[]")).at("error.code"), "invalid_type");
  EXPECT_EQ(ask(post(kChat, "{}")).at("error.code"), "missing_required_parameter");
  EXPECT_EQ(ask(post(kChat, "{}")).at("error.param"), "messages");
  EXPECT_EQ(ask(chat("", "Content-Encoding: gzip\r\n")).status, 415);
}

TEST_F(Api, APromptThatComesAgainIsCachedUnlessItsSaltIsAnother) {
  const auto cached = [](const std::string& salt) {
    return ask(post(kChat,
                    R"({"messages":[{"role":"user","content":"one two three four five six seven eight nine ten"}],)"
                    R"("max_tokens":2,"temperature":0,"cache_salt":")" +
                        salt + "\"}"))
        .at("usage.prompt_tokens_details.cached_tokens");
  };
  EXPECT_EQ(cached("a"), "0");
  EXPECT_NE(cached("a"), "0");
  EXPECT_EQ(cached("b"), "0");
}

TEST_F(Api, ProgressTellsWhatWasCached) {
  const std::string request = R"({"messages":[{"role":"user","content":"alpha beta gamma delta epsilon zeta eta"}],)"
                              R"("max_tokens":2,"stream":true,"stream_options":{"include_usage":true},)"
                              R"("return_progress":true,"cache_salt":"progress"})";
  for (const bool is_first : {true, false}) {
    std::string cached, processed, total, usage;
    for (const JsonNode& chunk : frames(ask(post(kChat, request)).body)) {
      if (const std::string text = text_at(chunk, "usage.prompt_tokens_details.cached_tokens"); !text.empty())
        usage = text;
      if (text_at(chunk, "prompt_progress.stage") != "prefill") continue;
      cached = text_at(chunk, "prompt_progress.cache");
      processed = text_at(chunk, "prompt_progress.processed");
      total = text_at(chunk, "prompt_progress.total");
    }
    EXPECT_EQ(cached == "0", is_first) << cached;
    EXPECT_EQ(cached, usage);
    EXPECT_EQ(processed, total);
  }
}

TEST_F(Api, ChatAnswers) {
  const Reply reply = ask(chat(R"("max_tokens":4,"temperature":0,"seed":7,"model":"gpt-4o","user":"me","whatever":1)"));
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.at("object"), "chat.completion");
  EXPECT_EQ(reply.at("model"), "demo");
  EXPECT_EQ(reply.at("choices.0.message.role"), "assistant");
  EXPECT_FALSE(reply.at("choices.0.message.content").empty());
  EXPECT_EQ(reply.at("choices.0.finish_reason"), "length");
  EXPECT_EQ(reply.at("choices.0.logprobs"), "null");
  EXPECT_EQ(reply.at("usage.completion_tokens"), "4");
  EXPECT_EQ(reply.at("usage.prompt_tokens_details.cached_tokens"), "0");
  EXPECT_EQ(std::stoi(reply.at("usage.total_tokens")), std::stoi(reply.at("usage.prompt_tokens")) + 4);
  EXPECT_EQ(reply.at("g3n.seed"), "7");
  EXPECT_EQ(reply.at("service_tier"), "default");
  EXPECT_EQ(reply.header("x-g3n-ignored"), "user, whatever");
  EXPECT_FALSE(reply.header("openai-processing-ms").empty());
}

TEST_F(Api, EveryFieldIsHonouredIgnoredOrRefused) {
  struct Case {
    std::string field;
    int status;
    std::string param, code;
  };
  const Case cases[] = {
      {R"("max_tokens":0)", 400, "max_tokens", "invalid_value"},
      {R"("max_tokens":-1,"max_completion_tokens":2)", 200, "", ""},
      {R"("max_tokens":2.0)", 200, "", ""},
      {R"("max_tokens":"2")", 400, "max_tokens", "invalid_type"},
      {R"("temperature":2.1)", 400, "temperature", "invalid_value"},
      {R"("temperature":null)", 200, "", ""},
      {R"("top_p":0)", 400, "top_p", "invalid_value"},
      {R"("top_k":-1)", 200, "", ""},
      {R"("top_k":-2)", 400, "top_k", "invalid_value"},
      {R"("min_p":0.1,"repetition_penalty":1.1,"min_tokens":1)", 200, "", ""},
      {R"("presence_penalty":3)", 400, "presence_penalty", "invalid_value"},
      {R"("seed":-1)", 200, "", ""},
      {R"("seed":-5)", 200, "", ""},
      {R"("stop":"")", 400, "stop", "invalid_value"},
      {R"("stop":["a",1])", 400, "stop[1]", "invalid_type"},
      {R"("stop":[])", 200, "", ""},
      {R"("n":0)", 400, "n", "invalid_value"},
      {R"("n":17)", 400, "n", "invalid_value"},
      {R"("logprobs":5)", 400, "logprobs", "invalid_type"},
      {R"("top_logprobs":2)", 400, "top_logprobs", "invalid_value"},
      {R"("logprobs":true,"top_logprobs":21)", 400, "top_logprobs", "invalid_value"},
      {R"("logit_bias":{"5":101})", 400, "logit_bias.5", "invalid_value"},
      {R"("logit_bias":{"x":1})", 400, "logit_bias", "invalid_value"},
      {R"("logit_bias":{"99999999":1})", 400, "logit_bias.99999999", "invalid_value"},
      {R"("logit_bias":{"5":-100,"6":100})", 200, "", ""},
      {R"("logit_bias":{"5":1,"05":1})", 400, "logit_bias", "invalid_value"},
      {R"("stop_token_ids":[99999999])", 400, "stop_token_ids[0]", "invalid_value"},
      {R"("response_format":{"type":"text"})", 200, "", ""},
      {R"("response_format":{"type":"json_object"})", 400, "response_format", "unsupported_parameter"},
      {R"("guided_json":{"type":"object"})", 400, "guided_json", "unsupported_parameter"},
      {R"("grammar":"root ::= x")", 400, "grammar", "unsupported_parameter"},
      {R"("tools":[])", 200, "", ""},
      {R"("tools":[{"type":"function"}])", 400, "tools", "unsupported_parameter"},
      {R"("tool_choice":"auto")", 400, "tool_choice", "unsupported_parameter"},
      {R"("functions":[{}])", 400, "functions", "unsupported_parameter"},
      {R"("typical_p":1,"mirostat":0,"top_n_sigma":-1,"use_beam_search":false)", 200, "", ""},
      {R"("mirostat":2)", 400, "mirostat", "unsupported_parameter"},
      {R"("modalities":["text","audio"])", 400, "modalities", "unsupported_parameter"},
      {R"("audio":{"voice":"x"})", 400, "audio", "unsupported_parameter"},
      {R"("web_search_options":{"a":1})", 400, "web_search_options", "unsupported_parameter"},
      {R"("chat_template_kwargs":{"enable_thinking":false})", 200, "", ""},
      {R"("chat_template_kwargs":{"x":1})", 400, "chat_template_kwargs", "unsupported_parameter"},
      {R"("slice":"e2b")", 400, "slice", "unsupported_parameter"},
      {R"("stream":"true")", 400, "stream", "invalid_type"},
      {R"("stream_options":{"include_usage":true})", 400, "stream_options", "invalid_value"},
      {R"("image_size":31)", 400, "image_size", "invalid_value"},
      {R"("image_size":1025)", 400, "image_size", "invalid_value"},  // --limit image-size
      {R"("image_size":1024)", 200, "", ""},
      {R"("image_size":32)", 200, "", ""},
      {R"("model":"")", 400, "model", "invalid_value"},
      {R"("model":7)", 400, "model", "invalid_type"},
      {R"("continue_final_message":true)", 400, "continue_final_message", "invalid_value"},
  };
  for (const Case& c : cases) {
    const bool has_limit = c.field.find("\"max_tokens\"") != std::string::npos;
    const Reply reply = ask(chat(c.field + (has_limit ? "" : R"(,"max_tokens":2)")));
    EXPECT_EQ(reply.status, c.status) << c.field << ": " << reply.body;
    if (c.status == 200) continue;
    EXPECT_EQ(reply.at("error.param"), c.param) << c.field;
    EXPECT_EQ(reply.at("error.code"), c.code) << c.field;
    EXPECT_EQ(reply.at("error.type"), "invalid_request_error");
  }
  EXPECT_EQ(ask(chat(R"("model":"demo:e2b")")).at("error.code"), "model_not_found");
}

TEST_F(Api, SeedsAreReportedBelowTwoToThe53) {
  for (int i = 0; i < 3; ++i) EXPECT_LT(std::stoull(ask(chat(R"("max_tokens":1)")).at("g3n.seed")), 1ull << 53);
}

TEST_F(Api, StopStringsAndIds) {
  const Reply whole = ask(chat(R"("max_tokens":12,"temperature":0)"));
  const std::string text = whole.at("choices.0.message.content");
  const std::size_t star = text.find("circle");
  ASSERT_NE(star, std::string::npos) << text;
  const Reply cut = ask(chat(R"("max_tokens":40,"temperature":0,"stop":["nothing","circle"])"));
  EXPECT_EQ(cut.at("choices.0.message.content"), text.substr(0, star));
  EXPECT_EQ(cut.at("choices.0.finish_reason"), "stop");
}

TEST_F(Api, StreamsGiveTheSameBytes) {
  const std::string fields = R"("max_tokens":12,"temperature":0,"logprobs":true,"top_logprobs":2)";
  const Reply whole = ask(chat(fields));
  const Reply stream =
      ask(chat(fields + R"(,"stream":true,"stream_options":{"include_usage":true},"return_progress":true)"));
  ASSERT_EQ(stream.status, 200) << stream.body;
  EXPECT_EQ(stream.header("Content-Type"), "text/event-stream; charset=utf-8");
  EXPECT_EQ(stream.header("Cache-Control"), "no-cache, no-transform");
  EXPECT_THAT(stream.body, HasSubstr("data: [DONE]\n\n"));
  const std::vector<JsonNode> chunks = frames(stream.body);
  EXPECT_EQ(text_at(chunks[0], "choices.0.delta.role"), "assistant");
  EXPECT_EQ(text_at(chunks[0], "usage"), "null");
  std::string text, tokens;
  int reasons = 0, usages = 0, progresses = 0;
  for (const JsonNode& chunk : chunks) {
    EXPECT_EQ(text_at(chunk, "id"), text_at(chunks[0], "id"));
    text += text_at(chunk, "choices.0.delta.content");
    const std::string reason = text_at(chunk, "choices.0.finish_reason");
    if (!reason.empty() && reason != "null") {
      ++reasons;
      EXPECT_EQ(text_at(chunk, "choices.0.delta"), "{}");
      EXPECT_EQ(text_at(chunk, "choices.0.logprobs"), "null");
    }
    usages += text_at(chunk, "usage.total_tokens").empty() ? 0 : 1;
    progresses += text_at(chunk, "prompt_progress.stage") == "prefill";
    const JsonNode* choices = chunk.find("choices");
    if (choices->list()->empty()) continue;
    if (const JsonNode* logprobs = choices->list()->at(0).find("logprobs"); logprobs && !logprobs->is_null())
      for (const JsonNode& entry : *logprobs->find("content")->list()) tokens += text_at(entry, "token");
  }
  EXPECT_EQ(text, whole.at("choices.0.message.content"));
  EXPECT_EQ(tokens, text);
  EXPECT_EQ(reasons, 1);
  EXPECT_EQ(usages, 1);
  EXPECT_GE(progresses, 1);
  EXPECT_EQ(whole.at("choices.0.logprobs.content.11.token").empty(), false);
  EXPECT_EQ(whole.at("choices.0.logprobs.content.0.top_logprobs.1.token").empty(), false);
  // Without include_usage there is no key usage.
  EXPECT_THAT(ask(chat(R"("max_tokens":1,"stream":true)")).body, Not(HasSubstr("usage")));
}

TEST_F(Api, ChoicesHaveTheirOwnSeeds) {
  const Reply reply = ask(chat(R"("max_tokens":3,"n":3,"seed":5)"));
  ASSERT_EQ(reply.status, 200) << reply.body;
  for (int i = 0; i < 3; ++i) {
    const Reply alone = ask(chat(R"("max_tokens":3,"seed":)" + std::to_string(5 + i)));
    EXPECT_EQ(reply.at("choices." + std::to_string(i) + ".message.content"), alone.at("choices.0.message.content"));
  }
  EXPECT_EQ(reply.at("usage.completion_tokens"), "9");
  EXPECT_EQ(reply.at("usage.prompt_tokens"), ask(chat(R"("max_tokens":1)")).at("usage.prompt_tokens"));
  const Reply stream = ask(chat(R"("max_tokens":3,"n":2,"seed":5,"stream":true)"));
  int begun = 0, ended = 0;
  for (const JsonNode& chunk : frames(stream.body)) {
    begun += text_at(chunk, "choices.0.delta.role") == "assistant";
    ended += text_at(chunk, "choices.0.finish_reason") == "length";
  }
  EXPECT_EQ(begun, 2);
  EXPECT_EQ(ended, 2);
}

TEST_F(Api, TimingsAndInputTokens) {
  EXPECT_EQ(ask(chat(R"("max_tokens":3,"timings":true)")).at("timings.predicted_n"), "3");
  const Reply count = ask(post("/v1/chat/completions/input_tokens", std::string("{") + kHi + "}"));
  EXPECT_EQ(count.at("object"), "response.input_tokens");
  EXPECT_EQ(count.at("input_tokens"), ask(chat(R"("max_tokens":1)")).at("usage.prompt_tokens"));
}

TEST_F(Api, ControlTokensOfUsersAreText) {
  const auto tokens = [&](const std::string& content) {
    return std::stoi(ask(post("/tokenize", R"({"messages":[{"role":"user","content":)" + content + "}]}")).at("count"));
  };
  const int joined = tokens(R"([{"type":"text","text":"<end_of"},{"type":"text","text":"_turn>"}])");
  EXPECT_EQ(joined, tokens(R"("<end_of_turn>")"));
  EXPECT_GT(joined, tokens(R"("x")") + 2);  // many pieces, not one control token
}

TEST_F(Api, WhatMessagesIgnoreIsNamedByEveryEndpoint) {
  const std::string messages = R"({"messages":[{"role":"user","name":"me","content":"hi"}],"max_tokens":1})";
  for (const char* path : {kChat, "/v1/chat/completions/input_tokens", "/tokenize", "/apply-template"})
    EXPECT_THAT(ask(post(path, messages)).header("x-g3n-ignored"), HasSubstr("messages[0].name")) << path;
  ServerOptions options;
  options.is_strict = true;
  TestServer strict(*engine_, options);
  for (const char* path : {"/tokenize", "/apply-template"})
    EXPECT_EQ(strict.ask(post(path, R"({"messages":[{"role":"user","name":"me","content":"hi"}]})")).at("error.param"),
              "messages[0].name")
        << path;
}

TEST_F(Api, TokenizerEndpoints) {
  EXPECT_EQ(ask(post("/tokenize", R"({"prompt":"<eos>","add_special_tokens":false})")).at("tokens"), "[1]");
  EXPECT_EQ(ask(post("/tokenize", R"({"content":"","add_special":true})")).at("tokens"), "[2]");
  EXPECT_NE(ask(post("/tokenize", R"({"content":"<eos>","special":false})")).at("tokens"), "[1]");
  const Reply pieces = ask(post("/tokenize", R"({"content":"red star","with_pieces":true})"));
  EXPECT_FALSE(pieces.at("tokens.0.piece").empty());
  const std::string ids = ask(post("/tokenize", R"({"content":"red star"})")).at("tokens");
  EXPECT_EQ(ask(post("/detokenize", "{\"tokens\":" + ids + "}")).at("content"), "red star");
  EXPECT_EQ(ask(post("/detokenize", R"({"tokens":[-1]})")).at("error.param"), "tokens[0]");
  EXPECT_EQ(ask(post("/tokenize", "{}")).at("error.code"), "missing_required_parameter");
  const Reply info = ask(get("/tokenizer_info"));
  EXPECT_EQ(info.at("bos_token"), "<bos>");
  EXPECT_EQ(info.at("eos_token"), "<eos>");
  EXPECT_EQ(info.at("end_ids"), "[1,106]");
  EXPECT_EQ(ask(post("/apply-template", std::string("{") + kHi + "}")).at("prompt"),
            "<bos><start_of_turn>user\nhi<end_of_turn>\n<start_of_turn>model\n");
}

TEST_F(Api, Completions) {
  const auto complete = [&](const std::string& fields) { return ask(post("/v1/completions", "{" + fields + "}")); };
  const Reply text = complete(R"("prompt":"red","max_tokens":4,"temperature":0,"logprobs":2)");
  ASSERT_EQ(text.status, 200) << text.body;
  EXPECT_EQ(text.at("object"), "text_completion");
  EXPECT_EQ(text.at("usage.completion_tokens"), "4");
  EXPECT_EQ(text.at("choices.0.finish_reason"), "length");
  std::string joined;
  for (int i = 0; i < 4; ++i) joined += text.at("choices.0.logprobs.tokens." + std::to_string(i));
  EXPECT_EQ(joined, text.at("choices.0.text"));
  EXPECT_EQ(text.at("choices.0.logprobs.text_offset.0"), "0");
  const std::string own = text.at("choices.0.logprobs.tokens.0");
  EXPECT_EQ(text.at("choices.0.logprobs.top_logprobs.0." + own), text.at("choices.0.logprobs.token_logprobs.0"));
  // As ids, the same answer.
  const std::string ids = ask(post("/tokenize", R"({"content":"red","add_special":true})")).at("tokens");
  EXPECT_EQ(complete("\"prompt\":" + ids + R"(,"max_tokens":4,"temperature":0)").at("choices.0.text"),
            text.at("choices.0.text"));
  EXPECT_EQ(complete(R"("prompt":"red")").at("usage.completion_tokens"), "16");
  EXPECT_EQ(complete(R"("prompt":"","max_tokens":1)").at("usage.prompt_tokens"), "1");
  const Reply many = complete(R"("prompt":["red","blue"],"n":2,"max_tokens":2,"seed":1)");
  EXPECT_EQ(many.at("choices.3.index"), "3");
  EXPECT_EQ(many.at("choices.2.text"), complete(R"("prompt":"blue","max_tokens":2,"seed":1)").at("choices.0.text"));
  EXPECT_EQ(many.at("usage.completion_tokens"), "8");
  const Reply stream = complete(R"("prompt":"red","max_tokens":4,"temperature":0,"stream":true)");
  std::string streamed;
  for (const JsonNode& chunk : frames(stream.body)) streamed += text_at(chunk, "choices.0.text");
  EXPECT_EQ(streamed, text.at("choices.0.text"));
  const Reply none = complete(R"("prompt":"red","max_tokens":0)");
  EXPECT_EQ(none.status, 200) << none.body;
  EXPECT_EQ(none.at("choices.0.text"), "");
  EXPECT_EQ(none.at("usage.completion_tokens"), "0");
}

TEST_F(Api, CompletionsRefuse) {
  const auto error = [&](const std::string& fields) {
    const Reply reply = ask(post("/v1/completions", "{" + fields + "}"));
    return std::to_string(reply.status) + " " + reply.at("error.param") + " " + reply.at("error.code");
  };
  EXPECT_EQ(error(R"("prompt":"a","suffix":"b")"), "400 suffix unsupported_parameter");
  EXPECT_EQ(error(R"("prompt":"a","best_of":3)"), "400 best_of unsupported_parameter");
  EXPECT_EQ(error(R"("prompt":"a","logprobs":21)"), "400 logprobs invalid_value");
  EXPECT_EQ(error(R"("prompt":[])"), "400 prompt invalid_value");
  EXPECT_EQ(error(R"("prompt":[[]])"), "400 prompt[0] invalid_value");
  EXPECT_EQ(error(R"("prompt":[1,99999999])"), "400 prompt[1] invalid_value");
  EXPECT_EQ(error(R"("prompt":{"a":1})"), "400 prompt invalid_type");
  EXPECT_EQ(error(R"("model":"x")"), "400 prompt missing_required_parameter");
  EXPECT_EQ(error(R"("prompt":"<image_soft_token>")"), "400 prompt invalid_value");
  EXPECT_EQ(error(R"("prompt":["a",7])"), "400 prompt[1] invalid_type");
  EXPECT_EQ(error(R"("prompt":["a","<image_soft_token>"])"), "400 prompt[1] invalid_value");
  const std::string soft = ask(post("/tokenize", R"({"content":"<image_soft_token>"})")).at("tokens");
  EXPECT_EQ(error("\"prompt\":[[2]," + soft + "]"), "400 prompt[1] invalid_value");
}

TEST_F(Api, EchoPutsThePromptInFront) {
  const auto complete = [](const std::string& fields) { return ask(post("/v1/completions", "{" + fields + "}")); };
  const std::string answer = complete(R"("prompt":"red","max_tokens":4,"temperature":0)").at("choices.0.text");
  EXPECT_EQ(complete(R"("prompt":"red","max_tokens":4,"temperature":0,"echo":true)").at("choices.0.text"),
            "red" + answer);
  const Reply stream = complete(R"("prompt":"red","max_tokens":4,"temperature":0,"echo":true,"stream":true)");
  std::string text;
  for (const JsonNode& frame : frames(stream.body)) text += text_at(frame, "choices.0.text");
  EXPECT_EQ(text, "red" + answer);
  const Reply two = complete(R"("prompt":["red","blue"],"max_tokens":2,"temperature":0,"echo":true,"n":2)");
  EXPECT_THAT(two.at("choices.1.text"), ::testing::StartsWith("red"));
  EXPECT_THAT(two.at("choices.2.text"), ::testing::StartsWith("blue"));
}

TEST_F(Api, EchoScoresThePrompt) {
  const auto complete = [](const std::string& fields) {
    return ask(post("/v1/completions", R"({"temperature":0,"echo":true,"logprobs":1,)" + fields + "}"));
  };
  const std::string ids = ask(post("/tokenize", R"({"content":"the red circle","add_special":true})")).at("tokens");
  const std::size_t count = static_cast<std::size_t>(std::count(ids.begin(), ids.end(), ',')) + 1;
  for (const std::string& prompt : {std::string("\"the red circle\""), "[" + ids + "]"}) {
    const Reply scored = complete("\"prompt\":" + prompt + R"(,"max_tokens":1)");
    ASSERT_EQ(scored.status, 200) << scored.body;
    const JsonNode json = scored.json();
    const JsonNode& logprobs = *json.find("choices")->list()->front().find("logprobs");
    for (const char* name : {"tokens", "token_logprobs", "top_logprobs", "text_offset"})
      EXPECT_EQ(logprobs.find(name)->list()->size(), count + 1) << name;
    EXPECT_EQ(text_at(logprobs, "tokens.0"), "<bos>");
    EXPECT_EQ(text_at(logprobs, "token_logprobs.0"), "null");
    EXPECT_EQ(text_at(logprobs, "top_logprobs.0"), "null");
    EXPECT_LT(std::stod(text_at(logprobs, "token_logprobs.1")), 0);
    const bool shows_bos = prompt[0] == '[';
    EXPECT_EQ(text_at(logprobs, "text_offset.1"), shows_bos ? "5" : "0");
    // The harness holds a token's own value against the largest beside it.
    const JsonNode& tops = *logprobs.find("top_logprobs");
    for (std::size_t i = 1; i <= count; ++i)
      EXPECT_NE((*tops.list())[i].find(text_at(logprobs, "tokens." + std::to_string(i))), nullptr) << i;
    EXPECT_EQ(scored.at("usage.completion_tokens"), "1");
  }
  const Reply alone = complete(R"("prompt":"the red circle","max_tokens":0)");
  EXPECT_EQ(alone.at("choices.0.text"), "the red circle");
  EXPECT_EQ(alone.at("usage.completion_tokens"), "0");
  EXPECT_EQ(alone.json().find("choices")->list()->front().find("logprobs")->find("tokens")->list()->size(), count);
}

// Prompt first, then the answer, and the same numbers.
TEST_F(Api, AScoredEchoStreams) {
  const std::vector<std::string> prompts = {R"("the red circle")", R"(["red","the blue star"])", "[2,5,6,7]"};
  for (const std::string& prompt : prompts)
    for (const char* more : {R"("max_tokens":5,"n":2)", R"("max_tokens":0)", R"("max_tokens":9,"stop":"circle")"}) {
      const std::string fields = R"("temperature":0,"echo":true,"logprobs":2,"prompt":)" + prompt + "," + more;
      SCOPED_TRACE(fields);
      const Reply whole = ask(post("/v1/completions", "{" + fields + "}"));
      ASSERT_EQ(whole.status, 200) << whole.body;
      const Reply stream = ask(post("/v1/completions", "{" + fields + R"(,"stream":true})"));
      ASSERT_EQ(stream.status, 200) << stream.body;
      const JsonNode json = whole.json();
      for (const JsonNode& choice : *json.find("choices")->list()) {
        std::string text, lists[4];
        const char* names[] = {"tokens", "token_logprobs", "top_logprobs", "text_offset"};
        bool is_first = true;
        for (const JsonNode& chunk : frames(stream.body)) {
          const JsonNode& part = chunk.find("choices")->list()->front();
          if (text_at(part, "index") != text_at(choice, "index")) continue;
          text += text_at(part, "text");
          if (std::exchange(is_first, false)) {
            EXPECT_EQ(text_at(part, "logprobs.token_logprobs.0"), "null") << "the prompt's first";
          }
          for (int i = 0; i < 4; ++i) {
            const std::string list = text_at(part, std::string("logprobs.") + names[i]);
            if (list.size() > 2) lists[i] += (lists[i].empty() ? "" : ",") + list.substr(1, list.size() - 2);
          }
        }
        EXPECT_EQ(text, text_at(choice, "text"));
        for (int i = 0; i < 4; ++i)
          EXPECT_EQ("[" + lists[i] + "]", text_at(choice, std::string("logprobs.") + names[i])) << names[i];
      }
    }
}

TEST_F(Api, MetricsCount) {
  ask(chat(R"("max_tokens":2)"));
  EXPECT_GT(std::stod(server_->metric("g3n_generated_tokens_total{model=\"demo\"")), 1);
  EXPECT_EQ(server_->metric("g3n_model_loaded"), "1");
  EXPECT_EQ(server_->metric("g3n_kv_bytes"), "0");
  EXPECT_EQ(server_->metric("g3n_kv_limit_bytes"), std::to_string((*engine_)->stats().cache_limit_bytes));
  EXPECT_GT((*engine_)->stats().cache_limit_bytes, 0);
  const Reply all = ask(get("/metrics"));
  EXPECT_EQ(all.header("Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_THAT(all.body, HasSubstr("# TYPE g3n_request_seconds histogram\n"));
}

// ---- servers of their own -------------------------------------------------------------------------------------------

TEST(Serve, TooLongAPromptNamesBothNumbers) {
  TestServer server(fake_engine("red ", {}, 64));
  const Reply reply =
      server.ask(post(kChat, R"({"messages":[{"role":"user","content":")" + std::string(300, '!') + R"("}]})"));
  EXPECT_EQ(reply.status, 400);
  EXPECT_EQ(reply.at("error.code"), "context_length_exceeded");
  EXPECT_THAT(reply.at("error.message"), HasSubstr("maximum context length is 64 tokens"));
  const Reply huge =
      server.ask(post(kChat, R"({"messages":[{"role":"user","content":")" + std::string(1'000'000, '!') + R"("}]})"));
  EXPECT_THAT(huge.at("error.message"), AllOf(HasSubstr("maximum context length is 64 tokens"), HasSubstr("at least")));
  const Reply clamped = server.ask(chat(R"("max_tokens":1000)"));
  EXPECT_EQ(clamped.at("choices.0.finish_reason"), "length");
}

TEST(Serve, TooLongATextNamesItsPrompt) {
  FakeModelOptions model;
  model.on_step = [](int64_t, const Batch& batch) {
    if (batch.rows.size() == 3) throw Error(ErrorCode::kContextFull, "full");
  };
  TestServer server(fake_engine("red ", model, 8), {});
  const auto error = [&](const std::string& prompt) {
    const Reply reply = server.ask(post("/v1/completions", R"({"max_tokens":1,"prompt":)" + prompt + "}"));
    EXPECT_THAT(reply.at("error.message"), HasSubstr("maximum context length is 8 tokens")) << reply.body;
    return reply.at("error.param") + " " + reply.at("error.code");
  };
  const std::string ten = "[2,2,2,2,2,2,2,2,2,2]";
  EXPECT_EQ(error(ten), "prompt context_length_exceeded");
  EXPECT_EQ(error("[[2]," + ten + "]"), "prompt[1] context_length_exceeded");
  EXPECT_EQ(error("[\"a\",\"" + std::string(100, '!') + "\"]"), "prompt[1] context_length_exceeded");
  EXPECT_EQ(error("[2,2,2]"), "prompt context_length_exceeded") << "said by the library";
}

TEST(Serve, KeysAreAskedForButForHealth) {
  ServerOptions options;
  options.access.keys = server::parse_keys("alice:secret\n");
  TestServer server(fake_engine("red "), options);
  EXPECT_EQ(server.ask(get("/health")).status, 200);
  const auto begin = std::chrono::steady_clock::now();
  const Reply refused = server.ask(chat(R"("max_tokens":1)"));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 190ms);
  EXPECT_EQ(refused.status, 401);
  EXPECT_EQ(refused.at("error.code"), "invalid_api_key");
  EXPECT_EQ(refused.at("error.type"), "authentication_error");
  EXPECT_EQ(refused.header("WWW-Authenticate"), "Bearer");
  EXPECT_EQ(server.ask(chat(R"("max_tokens":1)", "Authorization: Bearer secret\r\n")).status, 200);
  EXPECT_EQ(server.ask(chat(R"("max_tokens":1)", "x-api-key: secret\r\n")).status, 200);
  EXPECT_EQ(server.ask(get("/v1/models", "Authorization: Bearer wrong\r\n")).status, 401);
}

TEST(Serve, AnOpenAddressNeedsAKey) {
  ServerOptions options;
  options.http.host = "0.0.0.0";
  options.http.port = 0;
  options.model_id = "demo";
  EXPECT_THROW(server::Server(options, [] { return std::shared_ptr<Engine>(); }), Error);
}

TEST(Serve, StrictRefusesWhatHasNoEffect) {
  ServerOptions options;
  options.is_strict = options.is_strict_model = true;
  options.aliases = {"gemma"};
  TestServer server(fake_engine("red "), options);
  EXPECT_EQ(server.ask(chat(R"("user":"me")")).at("error.param"), "user");
  EXPECT_EQ(server.ask(chat(R"("model":"gpt-4o")")).at("error.code"), "model_not_found");
  EXPECT_EQ(server.ask(chat(R"("model":"gemma","max_tokens":1)")).status, 200);
}

TEST(Serve, AnswersWhileItLoads) {
  std::promise<void> go;
  auto gate = go.get_future().share();
  TestServer server(
      [gate] {
        gate.wait();
        return fake_engine("red ");
      },
      {});
  EXPECT_EQ(server.ask(get("/health")).body, R"({"status":"loading"})");
  EXPECT_EQ(server.ask(get("/health")).status, 503);
  EXPECT_EQ(server.ask(get("/live")).status, 200);
  const Reply early = server.ask(chat(""));
  EXPECT_EQ(early.status, 503);
  EXPECT_EQ(early.at("error.code"), "loading");
  EXPECT_EQ(early.header("Retry-After"), "1");
  go.set_value();
  server.wait_until_ready();
  EXPECT_EQ(server.ask(chat(R"("max_tokens":1)")).status, 200);
}

TEST(Serve, AFailedLoadEndsTheRun) {
  ServerOptions options;
  options.http.port = 0;
  server::Server server(options, []() -> std::shared_ptr<Engine> { throw Error(ErrorCode::kNotFound, "no model"); });
  EXPECT_THROW(server.run(), Error);
}

// A model that takes 5 ms a step, so that there is time to leave.
std::shared_ptr<Engine> slow_engine() { return fake_engine("the red star ", {.step_seconds = 0.005}); }

TEST(Serve, AClientThatLeavesStopsItsWork) {
  const auto engine = slow_engine();
  TestServer server(engine);
  for (const bool is_stream : {true, false}) {
    Socket socket(server.port());
    socket.send(chat(R"("stream":)" + std::string(is_stream ? "true" : "false")));
    ASSERT_TRUE(comes_true([&] { return engine->stats().running > 0; }));
    socket.close();
    EXPECT_TRUE(comes_true([&] { return is_idle(*engine); }));
  }
  EXPECT_TRUE(comes_true([&] { return !server.metric("g3n_cancelled_total").empty(); }));
  EXPECT_EQ(server.ask(chat(R"("max_tokens":1)")).status, 200);
}

TEST(Serve, AQueuedClientThatLeavesIsForgotten) {
  EngineOptions one;
  const auto engine = slow_engine();
  TestServer server(engine);
  std::vector<std::unique_ptr<Socket>> sockets;
  for (int i = 0; i < 20; ++i) {  // 16 run, 4 wait
    sockets.push_back(std::make_unique<Socket>(server.port()));
    sockets.back()->send(chat(R"("stream":true)"));
  }
  ASSERT_TRUE(comes_true([&] { return engine->stats().waiting + engine->stats().running == 20; }));
  sockets.clear();
  EXPECT_TRUE(comes_true([&] { return engine->stats().waiting + engine->stats().running == 0; }));
  EXPECT_TRUE(is_idle(*engine));
}

TEST(Serve, AFullQueueSaysWhenToComeAgain) {
  ServerOptions options;
  options.max_queue = 1;
  options.max_sequences = 1;
  const auto engine = slow_engine();
  TestServer server(engine, options);
  Socket a(server.port()), b(server.port());
  a.send(chat(R"("stream":true)"));
  b.send(chat(R"("stream":true)"));
  ASSERT_TRUE(comes_true([&] { return engine->stats().waiting + engine->stats().running == 2; }));
  const Reply full = server.ask(chat(""));
  EXPECT_EQ(full.status, 429);
  EXPECT_EQ(full.at("error.code"), "queue_full");
  EXPECT_EQ(full.at("error.type"), "rate_limit_error");
  EXPECT_GE(std::stoi(full.header("Retry-After")), 1);
}

TEST(Serve, OneKeyLeavesTheOthersTheirPlaces) {
  ServerOptions options;
  options.max_queue = 4;  // half of it, and the one place
  options.max_sequences = 1;
  options.access.keys = {{"many", "m"}, {"few", "f"}};
  const auto engine = slow_engine();
  TestServer server(engine, options);
  const std::string many = "Authorization: Bearer m\r\n", few = "Authorization: Bearer f\r\n";
  const auto count = [&] { return engine->stats().waiting + engine->stats().running; };
  std::vector<std::unique_ptr<Socket>> sockets;
  for (int i = 0; i < 3; ++i) {
    sockets.push_back(std::make_unique<Socket>(server.port()));
    sockets.back()->send(chat(R"("stream":true)", many));
    ASSERT_TRUE(comes_true([&] { return count() == i + 1; }));
  }
  const Reply full = server.ask(chat("", many));
  EXPECT_EQ(full.status, 429);
  EXPECT_EQ(full.at("error.code"), "queue_full");
  EXPECT_THAT(full.at("error.message"), HasSubstr("this key's half"));
  EXPECT_EQ(server.ask(chat(R"("max_tokens":1)", few)).status, 200);
}

TEST(Serve, ADeadlineEndsARequest) {
  TestServer server(slow_engine());
  const Reply reply = server.ask(chat("", "x-request-timeout-ms: 100\r\n"));
  EXPECT_EQ(reply.status, 408);
  EXPECT_EQ(reply.at("error.code"), "request_timeout");
  EXPECT_EQ(reply.header("x-should-retry"), "false");
  const Reply stream = server.ask(chat(R"("stream":true)", "x-request-timeout-ms: 200\r\n"));
  EXPECT_EQ(stream.status, 200);
  EXPECT_EQ(text_at(frames(stream.body).back(), "error.code"), "request_timeout");
  EXPECT_THAT(stream.body, Not(HasSubstr("[DONE]")));
  EXPECT_EQ(server.ask(chat("", "x-request-timeout-ms: soon\r\n")).status, 400);
  // Longer than a clock of nanoseconds counts: no limit, rather than one that is over.
  for (const char* endless : {"9223372036854775807", "9223372036854776"})
    EXPECT_EQ(server.ask(chat(R"("max_tokens":3)", "x-request-timeout-ms: " + std::string(endless) + "\r\n")).status,
              200);
}

TEST(Serve, DrainLetsRunningRequestsEnd) {
  const auto engine = slow_engine();
  TestServer server(engine);
  Socket running(server.port()), open(server.port());
  open.send(get("/live"));
  EXPECT_EQ(open.reply().status, 200);
  running.send(chat(R"("max_tokens":40)"));
  ASSERT_TRUE(comes_true([&] { return engine->stats().running == 1; }));
  server.server().shut_down();
  open.send(chat(R"("max_tokens":1)"));
  const Reply refused = open.reply();
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.at("error.code"), "draining");
  EXPECT_EQ(running.reply().at("usage.completion_tokens"), "40");
  server.join();
}

TEST(Serve, DrainHasAnEnd) {
  ServerOptions options;
  options.drain = 100ms;
  const auto engine = slow_engine();
  TestServer server(engine, options);
  Socket stream(server.port());
  stream.send(chat(R"("stream":true)"));
  ASSERT_TRUE(comes_true([&] { return engine->stats().running == 1; }));
  server.server().shut_down();
  const Reply reply = stream.reply();
  EXPECT_EQ(text_at(frames(reply.body).back(), "error.code"), "draining");
  server.join();
  EXPECT_TRUE(is_idle(*engine));
}

TEST(Serve, AFailingStepIsA500ThatTellsNothing) {
  FakeModelOptions model;
  model.on_step = [](int64_t, const Batch&) { throw std::runtime_error("/secret/path exploded"); };
  ServerLog lines;
  ServerOptions options;
  options.on_log = lines.sink();
  TestServer server(fake_engine("red ", model), options);
  const Reply reply = server.ask(chat("", "x-request-id: abc\r\n"));
  EXPECT_EQ(reply.status, 500);
  EXPECT_EQ(reply.at("error.code"), "internal_error");
  EXPECT_THAT(reply.body, Not(HasSubstr("secret")));
  const std::string log = lines.text();
  EXPECT_THAT(log, AllOf(HasSubstr("abc"), HasSubstr("exploded"), Not(HasSubstr("\"hi\""))));
}

TEST(Serve, AnErrorInAStreamIsLoggedOnceAndCountedByItsCode) {
  FakeModelOptions model;
  model.on_step = [](int64_t step, const Batch&) {
    if (step == 3) throw std::runtime_error("it exploded");
  };
  ServerLog lines;
  ServerOptions options;
  options.on_log = lines.sink();
  TestServer server(fake_engine("the red star ", model), options);
  const Reply reply = server.ask(chat(R"("stream":true)"));
  EXPECT_EQ(text_at(frames(reply.body).back(), "error.code"), "internal_error");
  EXPECT_EQ(server.metric("g3n_rejected_total{model=\"demo\",code=\"internal_error\"}"), "1");
  const std::string log = lines.text();
  const std::size_t first = log.find("exploded");
  ASSERT_NE(first, std::string::npos);
  EXPECT_EQ(log.find("exploded", first + 1), std::string::npos) << log;
  EXPECT_THAT(log, HasSubstr("ms internal_error"));
}

}  // namespace
}  // namespace g3n::testing
