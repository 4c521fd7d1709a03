// The server over the demo checkpoint: text, pictures and sounds through HTTP give what the library gives.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <future>
#include <numeric>
#include <sstream>

#include "g3n/media.h"
#include "golden/demo.h"
#include "json/writer.h"
#include "server/client.h"
#include "support/source_path.h"

namespace g3n::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class DemoServer : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    engine_ = new std::shared_ptr<Engine>(demo_engine());
    server_ = new TestServer(*engine_);
  }
  static void TearDownTestSuite() {
    delete server_;
    delete engine_;
  }
  static Reply ask(const std::string& request) { return server_->ask(request); }
  static std::string medium(const std::string& name) { return base64(file_bytes(demo_folder() + "/media/" + name)); }
  static std::string picture(const std::string& question, const std::string& data, const std::string& more = "") {
    return post(
        kChat,
        R"({"temperature":0,"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,)" +
            data + R"("}},{"type":"text","text":)" + json_string(question) + "}]}]" + more + "}");
  }
  static std::string text(const std::string& content, const std::string& more = "") {
    return post(kChat, R"({"messages":[{"role":"user","content":)" + json_string(content) + "}]" + more + "}");
  }
  static std::shared_ptr<Engine>* engine_;
  static TestServer* server_;
};
std::shared_ptr<Engine>* DemoServer::engine_ = nullptr;
TestServer* DemoServer::server_ = nullptr;

TEST_F(DemoServer, APictureAsADataUrlIsAnsweredAsByTheLibrary) {
  const std::string file = file_bytes(demo_folder() + "/media/red-circle.png");
  Request request;
  ChatPrompt prompt;
  prompt.messages.push_back(
      {"user", {ImagePart{MediaBytes{{file.begin(), file.end()}, "x"}}, TextPart{"What is in the picture?"}}});
  request.prompt = prompt;
  request.options.sampling.temperature = 0;
  request.options.max_tokens = 24;
  const Answer alone = (*engine_)->generate(request);
  const Reply reply = ask(picture("What is in the picture?", medium("red-circle.png"), R"(,"max_tokens":24)"));
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.at("choices.0.message.content"), alone.text);
  EXPECT_EQ(std::stoll(reply.at("usage.prompt_tokens")), alone.prompt_tokens);
  EXPECT_EQ(reply.at("usage.prompt_tokens_details.image_tokens"), "256");
  const Reply stream =
      ask(picture("What is in the picture?", medium("red-circle.png"), R"(,"max_tokens":24,"stream":true)"));
  std::string streamed;
  for (const JsonNode& chunk : frames(stream.body)) streamed += text_at(chunk, "choices.0.delta.content");
  EXPECT_EQ(streamed, alone.text);
}

TEST_F(DemoServer, ASoundIsHeard) {
  const Reply reply = ask(post(
      kChat,
      R"({"temperature":0,"max_tokens":16,"messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"format":"wav","data":")" +
          medium("colors.wav") + R"("}},{"type":"text","text":"What do you hear?"}]}]})"));
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.at("usage.prompt_tokens_details.audio_tokens"), "188");
  EXPECT_FALSE(reply.at("choices.0.message.content").empty());
}

// 16-bit mono at 16 kHz.
std::string wav(const std::vector<float>& pcm) {
  const auto u32 = [](std::size_t n) {
    std::string out;
    for (int i = 0; i < 4; ++i) out += static_cast<char>(n >> (8 * i));
    return out;
  };
  std::string data;
  for (const float sample : pcm) {
    const auto value = static_cast<std::int16_t>(std::lround(sample * 32767));
    data += static_cast<char>(value & 0xFF);
    data += static_cast<char>(value >> 8);
  }
  return "RIFF" + u32(36 + data.size()) + "WAVEfmt " + u32(16) + std::string("\1\0\1\0", 4) + u32(16000) + u32(32000) +
         std::string("\2\0\x10\0", 4) + "data" + u32(data.size()) + data;
}
std::vector<float> tones(double seconds) {
  std::vector<float> pcm;
  for (int i = 0; i < static_cast<int>(seconds * 16000); ++i)
    pcm.push_back(0.3f * static_cast<float>(std::sin(i * (0.05 + 0.00000004 * i))));
  return pcm;
}
Samples decoded(const std::string& file) {
  return decode_audio(std::span(reinterpret_cast<const std::uint8_t*>(file.data()), file.size()), "x");
}
std::string sound_chat(const std::string& file, const std::string& more = "") {
  return R"({"temperature":0,"max_tokens":12,"messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":")" +
         base64(file) + R"("}},{"type":"text","text":"What do you hear?"}]}])" + more + "}";
}

TEST_F(DemoServer, ALongSoundBecomesConsecutiveClips) {
  const ModelInfo& info = (*engine_)->info();
  const std::string file = wav(tones(65));
  const Samples all = decoded(file);
  Message message{"user", {}};
  for (Samples& clip : split_clips(all, info.most_clip_samples)) message.parts.push_back(AudioPart{std::move(clip)});
  EXPECT_EQ(message.parts.size(), 3u);
  message.parts.push_back(TextPart{"What do you hear?"});
  const Answer alone =
      (*engine_)->generate({ChatPrompt{.messages = {message}}, {.sampling = {.temperature = 0}, .max_tokens = 12}});
  const Reply reply = ask(post(kChat, sound_chat(file)));
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.at("choices.0.message.content"), alone.text);
  EXPECT_EQ(std::stoll(reply.at("usage.prompt_tokens")), alone.prompt_tokens);
  EXPECT_EQ(std::stoll(reply.at("usage.prompt_tokens_details.audio_tokens")), 3 * info.clip_tokens);
  const Reply count = ask(post("/v1/chat/completions/input_tokens", sound_chat(file)));
  EXPECT_EQ(count.at("input_tokens"), reply.at("usage.prompt_tokens"));
  const Reply scrap = ask(post(kChat, sound_chat(wav(tones(30.05)))));
  EXPECT_EQ(std::stoll(scrap.at("usage.prompt_tokens_details.audio_tokens")), info.clip_tokens) << scrap.body;
}

TEST_F(DemoServer, SoundsThatAreNoneOrTooLong) {
  const Reply empty = ask(post(kChat, sound_chat(wav({}))));
  EXPECT_EQ(empty.status, 400);
  EXPECT_EQ(empty.at("error.code"), "invalid_media");
  EXPECT_EQ(empty.at("error.param"), "messages[0].content[0].input_audio.data");
  EXPECT_EQ(ask(post(kChat, sound_chat(wav(tones(0.01))))).at("error.code"), "invalid_media");
  EXPECT_EQ(ask(post(kChat, sound_chat("RIFF no sound", R"(,"stream":true)"))).at("error.code"), "invalid_media");
  TestServer small(fake_engine("red ", {}, 600));  // three clips
  const Reply longest = small.ask(post(kChat, sound_chat(wav(std::vector<float>(150 * 16000)))));
  EXPECT_EQ(longest.status, 400);
  EXPECT_EQ(longest.at("error.code"), "context_length_exceeded");
  EXPECT_THAT(longest.at("error.message"), HasSubstr("maximum context length is 600 tokens"));
  const Reply four = small.ask(post(kChat, sound_chat(wav(std::vector<float>(100 * 16000)))));
  EXPECT_EQ(four.at("error.code"), "context_length_exceeded") << "decoded, and counted";
}

TEST_F(DemoServer, AStreamWithMediaTellsItsStages) {
  TestServer slow(fake_engine("red ", {.block_seconds = 0.1}));
  const Reply reply = slow.ask(
      picture("What is this?", medium("red-circle.png"), R"(,"max_tokens":3,"stream":true,"return_progress":true)"));
  std::vector<std::string> stages;
  for (const JsonNode& frame : frames(reply.body)) stages.push_back(text_at(frame, "prompt_progress.stage"));
  EXPECT_THAT(stages, ::testing::Contains("encoding")) << reply.body;
  EXPECT_THAT(stages, ::testing::Contains("prefill")) << reply.body;
}

TEST_F(DemoServer, BrokenMediaAreTheClientsErrorBeforeTheStatusLine) {
  for (const char* more : {"", R"(,"stream":true)"}) {
    const Reply reply = ask(picture("?", base64("this is no picture at all"), more));
    EXPECT_EQ(reply.status, 400) << reply.body;
    EXPECT_EQ(reply.at("error.code"), "invalid_media") << reply.body;
    EXPECT_EQ(reply.at("error.param"), "messages[0].content[0].image_url.url");
    EXPECT_THAT(reply.body, Not(HasSubstr(demo_folder())));
    const Reply cut =
        ask(picture("?", base64(file_bytes(demo_folder() + "/media/red-circle.png").substr(0, 60)), more));
    EXPECT_EQ(cut.at("error.code"), "invalid_media") << cut.body;
  }
}

// Of a medium: smaller ones are answered, and a retry does not help. Of a sequence: later it may.
TEST_F(DemoServer, OutOfMemoryTellsWhoseItIs) {
  std::atomic<bool> is_of_medium{true};
  FakeModelOptions model;
  model.on_step = [&](std::int64_t, const Batch&) {
    const std::string name = "messages[0].content[0].image_url.url";
    throw Error(ErrorCode::kOutOfMemory, is_of_medium ? name + ": not enough memory" : "no room for " + name);
  };
  TestServer server(fake_engine("red ", model));
  const Reply of_medium = server.ask(picture("?", medium("red-circle.png")));
  EXPECT_EQ(of_medium.status, 400) << of_medium.body;
  EXPECT_EQ(of_medium.at("error.code"), "invalid_media");
  EXPECT_EQ(of_medium.at("error.param"), "messages[0].content[0].image_url.url");
  is_of_medium = false;
  const Reply of_sequence = server.ask(picture("?", medium("red-circle.png")));
  EXPECT_EQ(of_sequence.status, 503);
  EXPECT_EQ(of_sequence.at("error.code"), "overloaded");
}

TEST_F(DemoServer, LogprobsDoNotDependOnSampling) {
  const auto first = [&](const std::string& more) {
    return ask(text("What is your name?", R"(,"max_tokens":1,"logprobs":true,"top_logprobs":3)" + more))
        .at("choices.0.logprobs.content.0.top_logprobs");
  };
  EXPECT_EQ(first(R"(,"temperature":0)"), first(R"(,"temperature":2,"top_k":5,"seed":3,"logit_bias":{"300":50})"));
}

TEST_F(DemoServer, EchoScoresAreThoseOfTheLogits) {
  const std::string text = "The star is red and the circle is blue.";
  const std::vector<std::int32_t> ids = (*engine_)->tokenize(RawPrompt{text});
  std::vector<double> wanted;
  std::vector<std::int64_t> positions(ids.size() - 1);
  std::iota(positions.begin(), positions.end(), 0);
  const PreparedPrompt prompt = (*engine_)->prepare(RawPrompt{text});
  (*engine_)->logits(prompt, positions, [&](std::int64_t position, std::span<const float> row) {
    const std::size_t next = static_cast<std::size_t>(position) + 1;
    double largest = -INFINITY, sum = 0;
    for (const float logit : row) largest = std::max(largest, static_cast<double>(logit));
    for (const float logit : row) sum += std::exp(static_cast<double>(logit) - largest);
    wanted.push_back(static_cast<double>(row[static_cast<std::size_t>(ids[next])]) - largest - std::log(sum));
  });
  const Reply reply =
      ask(post("/v1/completions",
               R"({"echo":true,"logprobs":1,"max_tokens":1,"temperature":0,"prompt":)" + json_string(text) + "}"));
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.at("usage.prompt_tokens_details.cached_tokens"), "0");
  for (std::size_t i = 0; i < wanted.size(); ++i)
    EXPECT_NEAR(std::stod(reply.at("choices.0.logprobs.token_logprobs." + std::to_string(i + 1))), wanted[i], 2e-5)
        << i;
}

// Its own turn would be lost from the sliding windows before a second one comes.
TEST_F(DemoServer, ASystemTextIsKeptFromItsFirstUse) {
  std::string system = "You are asked about a book.", chapter;
  for (int i = 0; i < 40; ++i) system += " Rule " + std::to_string(i) + ".";
  for (int i = 0; i < 200; ++i) chapter += " Word " + std::to_string(i) + ".";
  const auto cached = [&](const std::string& user) {
    const Reply reply = ask(post("/v1/chat/completions", R"({"max_tokens":1,"messages":[{"role":"system","content":)" +
                                                             json_string(system) + R"(},{"role":"user","content":)" +
                                                             json_string(user) + "}]}"));
    EXPECT_EQ(reply.status, 200) << reply.body;
    return std::stoll(reply.at("usage.prompt_tokens_details.cached_tokens"));
  };
  EXPECT_EQ(cached("One:" + chapter), 0);
  EXPECT_GT(cached("Two:" + chapter), 80);
}

TEST_F(DemoServer, SixteenClientsAtOnceGetWhatEachGetsAlone) {
  std::vector<std::string> requests;
  for (int i = 0; i < 16; ++i) {
    const std::string more = R"(,"max_tokens":20,"logprobs":true,"seed":)" + std::to_string(i);
    requests.push_back(
        i % 4 == 3 ? picture("Describe it.", medium(i % 8 == 3 ? "red-circle.png" : "star-and-square.png"), more)
                   : text(std::string(static_cast<std::size_t>(i) * 20, 'a') + " What color is the star?", more));
  }
  const auto bytes = [](const Reply& reply) { return reply.at("choices"); };
  std::vector<std::string> alone;
  for (const std::string& request : requests) alone.push_back(bytes(ask(request)));
  std::vector<std::future<std::string>> together;
  for (const std::string& request : requests)
    together.push_back(std::async(std::launch::async, [&] { return bytes(ask(request)); }));
  for (std::size_t i = 0; i < requests.size(); ++i) EXPECT_EQ(together[i].get(), alone[i]) << i;
  EXPECT_TRUE(is_idle(**engine_));
}

TEST_F(DemoServer, LeavingFreesThePages) {
  Socket socket(server_->port());
  socket.send(picture("Describe it.", medium("red-circle.png"), R"(,"ignore_eos":true,"stream":true)"));
  ASSERT_TRUE(comes_true([&] { return (*engine_)->stats().running > 0; }));
  socket.close();
  EXPECT_TRUE(comes_true([&] { return is_idle(**engine_); }));
}

TEST_F(DemoServer, CompletionsTakeMediaBehindPlaceholders) {
  const Reply reply =
      ask(post("/v1/completions", R"({"prompt":"<image_soft_token> a","max_tokens":4,"temperature":0,"images":[")" +
                                      medium("red-circle.png") + R"("]})"));
  EXPECT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.at("usage.prompt_tokens_details.image_tokens"), "256");
  EXPECT_EQ(ask(post("/v1/completions", R"({"prompt":"a","images":[")" + medium("red-circle.png") + R"("]})"))
                .at("error.code"),
            "invalid_value");
}

TEST_F(DemoServer, ALongSoundOfACompletionBecomesClipsToo) {
  const ModelInfo& info = (*engine_)->info();
  const std::string file = wav(tones(65));
  const Samples all = decoded(file);
  RawPrompt raw{"<audio_soft_token><audio_soft_token><audio_soft_token> a <audio_soft_token>", {}};
  for (Samples& clip : split_clips(all, info.most_clip_samples)) raw.media.push_back(AudioPart{std::move(clip)});
  const std::string second = wav(tones(2));
  raw.media.push_back(AudioPart{decoded(second)});
  const Answer alone = (*engine_)->generate({raw, {.sampling = {.temperature = 0}, .max_tokens = 8}});
  TestServer server(*engine_);
  const auto complete = [&](const std::string& prompt) {
    return server.ask(post("/v1/completions", R"({"max_tokens":8,"temperature":0,"prompt":)" + prompt +
                                                  R"(,"audio":[")" + base64(file) + "\",\"" + base64(second) + "\"]}"));
  };
  const Reply reply = complete(R"("<audio_soft_token> a <audio_soft_token>")");
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.at("choices.0.text"), alone.text);
  EXPECT_EQ(std::stoll(reply.at("usage.prompt_tokens")), alone.prompt_tokens);
  EXPECT_EQ(std::stoll(reply.at("usage.prompt_tokens_details.audio_tokens")), 4 * info.clip_tokens);
  EXPECT_EQ(server.metric("g3n_audio_seconds_total"), "67");
  std::string ids = "[";
  for (const std::int32_t id : (*engine_)->tokenize(raw)) ids += std::to_string(id) + ",";
  ids.back() = ']';
  EXPECT_EQ(complete(ids).at("choices.0.text"), alone.text);
  EXPECT_EQ(complete(R"("<audio_soft_token>")").at("error.param"), "prompt");
  EXPECT_EQ(complete(R"("<audio_soft_token> <audio_soft_token> <audio_soft_token>")").at("error.param"), "prompt");
}

TEST_F(DemoServer, ASoundThatTakesTooLongIsTheClientsError) {
  server::ServerOptions options;
  options.limits.decode_time = std::chrono::milliseconds(1);
  TestServer server(*engine_, options);
  const Reply reply = server.ask(post(kChat, sound_chat(wav(tones(600)))));
  EXPECT_EQ(reply.status, 400);
  EXPECT_EQ(reply.at("error.code"), "invalid_media") << reply.body;
  EXPECT_THAT(reply.at("error.message"), HasSubstr("too long to decode"));
}

TEST_F(DemoServer, SoundsOfACompletionHaveTheirLimits) {
  server::ServerOptions options;
  options.limits.audio_seconds = 2;
  TestServer server(*engine_, options);
  const Reply reply = server.ask(post("/v1/completions", R"({"prompt":"<audio_soft_token>","max_tokens":1,"audio":[")" +
                                                             base64(wav(tones(3))) + "\"]}"));
  EXPECT_EQ(reply.status, 400);
  EXPECT_EQ(reply.at("error.code"), "invalid_media") << reply.body;
  EXPECT_EQ(reply.at("error.param"), "audio[0]");
}

// A file is held once, however many answers there are to be.
TEST_F(DemoServer, AnswersToOnePromptShareItsMedia) {
  constexpr std::int64_t kFile = 8 << 20;
  TestServer server(fake_engine("red ", {.block_seconds = 0.5}));
  const std::string file = file_bytes(demo_folder() + "/media/red-circle.png");
  const auto resident_while = [&](int answers) {
    const std::string padding(static_cast<std::size_t>(kFile) - file.size(), static_cast<char>(answers));
    const std::string n = std::to_string(answers);
    Socket socket(server.port());
    socket.send(picture("What is this?", base64(file + padding), R"(,"max_tokens":1,"n":)" + n));
    EXPECT_TRUE(comes_true([&] { return server.metric("g3n_requests_running") == n; }));
    const std::int64_t bytes = std::stoll(server.metric("g3n_resident_bytes"));
    EXPECT_EQ(socket.reply().at("usage.completion_tokens"), n);
    return bytes;
  };
  const std::int64_t one = resident_while(1);
  EXPECT_LT(resident_while(16) - one, 8 * kFile);
}

TEST_F(DemoServer, TokenIdsHoldTheSoftTokensOfTheirMedia) {
  const std::int32_t soft = (*engine_)->encode("<image_soft_token>", ControlTokens::kParse).at(0);
  const auto error = [&](std::size_t tokens, const std::string& more) {
    std::string ids = "2";
    for (std::size_t i = 0; i < tokens; ++i) ids += "," + std::to_string(soft);
    const Reply reply =
        ask(post("/v1/completions", R"({"prompt":[)" + ids + R"(],"max_tokens":1,"temperature":0)" + more + "}"));
    return std::to_string(reply.status) + " " + reply.at("error.param") + " " + reply.at("error.code");
  };
  const std::string image = R"(,"images":[")" + medium("red-circle.png") + R"("])";
  EXPECT_EQ(error(256, image), "200  ");
  EXPECT_EQ(error(255, image), "400 prompt invalid_value");
  EXPECT_EQ(error(0, image), "400 prompt invalid_value");
  EXPECT_EQ(error(256, ""), "400 prompt invalid_value");
}

// The examples of docs/server.md, sent as they stand there.
TEST_F(DemoServer, TheExamplesOfTheDocumentationWork) {
  std::istringstream doc(file_bytes(source_path("docs/server.md")));
  int count = 0;
  std::string command;
  bool is_inside = false;
  for (std::string line; std::getline(doc, line);) {
    if (line == "```sh") {
      is_inside = true;
      command.clear();
    } else if (line == "```" && is_inside) {
      is_inside = false;
      if (command.compare(0, 5, "curl ") != 0) continue;
      const std::size_t slash = command.find("127.0.0.1:8080") + 14, end = command.find_first_of(" \n'", slash);
      const std::size_t body = command.find("-d '"), close = command.rfind('\'');
      const std::string path = command.substr(slash, end - slash);
      std::string json = body == std::string::npos ? "" : command.substr(body + 4, close - body - 4);
      if (const std::size_t at = json.find("'\"$(base64 -w0 red-circle.png)\"'"); at != std::string::npos)
        json.replace(at, 32, medium("red-circle.png"));
      const Reply reply = ask(json.empty() ? get(path) : post(path, json));
      EXPECT_EQ(reply.status, 200) << command << "\n" << reply.body;
      ++count;
    } else if (is_inside) {
      command += line + "\n";
    }
  }
  EXPECT_GE(count, 5);
}

}  // namespace
}  // namespace g3n::testing
