// POST /v1/chat/completions (spec/server.md 5) and .../input_tokens.
#include <algorithm>
#include <ctime>

#include "core/utf8.h"
#include "server/endpoints.h"
#include "server/sampling_fields.h"
#include "server/sse.h"

namespace g3n::server {
namespace {

struct ChatFacts {
  std::string id = "chatcmpl-" + random_name(24), model, fingerprint;
  std::int64_t created = static_cast<std::int64_t>(std::time(nullptr));
  bool has_usage = false, has_timings = false, has_logprobs = false;
  std::int64_t image_tokens = 0, audio_tokens = 0;
};

JsonNode bytes_node(const std::string& bytes) {
  JsonList list;
  for (const char c : bytes) list.push_back(node(static_cast<std::int64_t>(static_cast<unsigned char>(c))));
  return node(std::move(list));
}

JsonNode logprobs_node(const std::vector<TokenEntry>& entries) {
  JsonList content;
  for (const TokenEntry& entry : entries) {
    JsonList top;
    for (const auto& [bytes, logprob] : entry.top)
      top.push_back(node(JsonObject{
          {"token", node(utf8_repaired(bytes))}, {"logprob", logprob_node(logprob)}, {"bytes", bytes_node(bytes)}}));
    content.push_back(node(JsonObject{{"token", node(utf8_repaired(entry.bytes))},
                                      {"logprob", logprob_node(entry.logprob)},
                                      {"bytes", bytes_node(entry.bytes)},
                                      {"top_logprobs", node(std::move(top))}}));
  }
  return node(JsonObject{{"content", node(std::move(content))}, {"refusal", node(nullptr)}});
}

class ChatFormat : public AnswerFormat {
 public:
  explicit ChatFormat(ChatFacts facts) : facts_(std::move(facts)) {}

  JsonNode whole(const std::vector<Result>& results) override {
    JsonList choices;
    for (std::size_t i = 0; i < results.size(); ++i) {
      const Result& result = results[i];
      JsonNode message = node(JsonObject{{"role", node("assistant")},
                                         {"content", node(result.answer.text)},
                                         {"refusal", node(nullptr)},
                                         {"annotations", node(JsonList{})}});
      choices.push_back(
          node(JsonObject{{"index", node(i)},
                          {"message", std::move(message)},
                          {"logprobs", facts_.has_logprobs ? logprobs_node(result.entries) : node(nullptr)},
                          {"finish_reason", node(finish_reason_of(result.answer))}}));
    }
    JsonObject answer{{"id", node(facts_.id)},
                      {"object", node("chat.completion")},
                      {"created", node(facts_.created)},
                      {"model", node(facts_.model)},
                      {"service_tier", node("default")},
                      {"system_fingerprint", node(facts_.fingerprint)},
                      {"choices", node(std::move(choices))},
                      {"usage", usage(results)},
                      {"g3n", g3n_object(results)}};
    if (facts_.has_timings) answer.emplace_back("timings", timings_of(results));
    return node(std::move(answer));
  }

  std::string begin(std::size_t index) override {
    return frame(index, JsonObject{{"role", node("assistant")}, {"content", node("")}}, node(nullptr), nullptr);
  }
  std::string delta(std::size_t index, const std::string& text, const std::vector<TokenEntry>& entries) override {
    return frame(index, JsonObject{{"content", node(text)}},
                 facts_.has_logprobs ? logprobs_node(entries) : node(nullptr), nullptr);
  }
  std::string finish(std::size_t index, const Answer& answer) override {
    return frame(index, JsonObject{}, node(nullptr), finish_reason_of(answer));
  }
  std::string progress(const Progress& progress) override {
    JsonObject chunk = head();
    chunk.emplace_back("choices", node(JsonList{}));
    if (facts_.has_usage) chunk.emplace_back("usage", node(nullptr));
    chunk.emplace_back("prompt_progress", node(JsonObject{{"total", node(progress.total)},
                                                          {"cache", node(0)},
                                                          {"processed", node(progress.done)},
                                                          {"time_ms", node(progress.ms)},
                                                          {"stage", node("prefill")}}));
    return sse_frame(node(std::move(chunk)));
  }
  std::string end(const std::vector<Result>& results) override {
    if (!facts_.has_usage && !facts_.has_timings) return sse_done();
    JsonObject chunk = head();
    chunk.emplace_back("choices", node(JsonList{}));
    if (facts_.has_usage) chunk.emplace_back("usage", usage(results));
    chunk.emplace_back("g3n", g3n_object(results));
    if (facts_.has_timings) chunk.emplace_back("timings", timings_of(results));
    return sse_frame(node(std::move(chunk))) + sse_done();
  }

 private:
  JsonNode usage(const std::vector<Result>& results) const {
    return usage_of(results, 1, facts_.image_tokens, facts_.audio_tokens);
  }
  JsonObject head() const {
    return {{"id", node(facts_.id)},           {"object", node("chat.completion.chunk")},
            {"created", node(facts_.created)}, {"model", node(facts_.model)},
            {"service_tier", node("default")}, {"system_fingerprint", node(facts_.fingerprint)}};
  }
  std::string frame(std::size_t index, JsonObject delta, JsonNode logprobs, const char* reason) const {
    JsonNode choice = node(JsonObject{{"index", node(index)},
                                      {"delta", node(std::move(delta))},
                                      {"logprobs", std::move(logprobs)},
                                      {"finish_reason", reason ? node(reason) : node(nullptr)}});
    JsonObject chunk = head();
    chunk.emplace_back("choices", node(JsonList{std::move(choice)}));
    if (facts_.has_usage) chunk.emplace_back("usage", node(nullptr));
    return sse_frame(node(std::move(chunk)));
  }

  const ChatFacts facts_;
};

struct ChatRequest {
  CommonFields common;
  ApiChat chat;
  std::vector<std::int32_t> ids;
  std::vector<MediaPart> media;
  bool has_logprobs = false;
};

std::size_t text_bytes(const ChatPrompt& prompt) {
  std::size_t bytes = 0;
  for (const Message& message : prompt.messages)
    for (const Part& part : message.parts)
      if (const auto* text = std::get_if<TextPart>(&part)) bytes += text->text.size();
  return bytes;
}

// Everything that can be wrong with the request but what is inside its media.
ChatRequest read_chat(Call& call) {
  const Service& service = call.service;
  const JsonNode body = parse_body(call.request.body);
  Fields fields(body, "");
  ChatRequest request;
  request.common = read_common_fields(fields, service);
  AnswerOptions& options = request.common.options;
  for (const char* name : {"max_tokens", "max_completion_tokens"})
    if (fields.integer(name, -1, INT64_MAX / 2) == 0) fail_value(name, "an integer of at least 1", "0");
  request.has_logprobs = fields.boolean("logprobs").value_or(false);
  const auto top = fields.integer("top_logprobs", 0, 20);
  if (top && !request.has_logprobs) fail_value("top_logprobs", "logprobs: true beside it", "none");
  if (request.has_logprobs) options.logprobs = static_cast<int>(top.value_or(0));

  MediaRules rules = service.media_rules();
  rules.image_size = request.common.image_size;
  const auto add_generation_prompt = fields.boolean("add_generation_prompt");
  const auto continue_final_message = fields.boolean("continue_final_message");
  request.chat = read_messages(fields.required("messages"), add_generation_prompt, continue_final_message, rules);
  call.ignored = fields.ignored(service.options.is_strict);
  if (service.options.is_strict && !request.chat.ignored.empty())
    fail_unsupported(request.chat.ignored[0], "this field has no effect here, and the server is run with --strict");
  call.ignored.insert(call.ignored.end(), request.chat.ignored.begin(), request.chat.ignored.end());

  expect_may_fit(text_bytes(request.chat.prompt), service.facts(), "messages");
  request.ids = service.engine().tokenize(request.chat.prompt);
  expect_fits(request.ids.size(), service.facts(), "messages");
  request.media = media_of(request.chat.prompt);
  return request;
}

std::string name_of(const MediaPart& part) {
  return std::visit([](const auto& p) { return std::get<MediaBytes>(p.source).name; }, part);
}

}  // namespace

void chat_completions(const std::shared_ptr<Call>& call) {
  const Service& service = call->service;
  ChatRequest request = read_chat(*call);
  call->request.body.clear();
  call->request.body.shrink_to_fit();
  const CommonFields& common = request.common;

  ChatFacts facts;
  facts.model = service.options.model_id;
  facts.fingerprint = service.fingerprint();
  facts.has_usage = common.has_usage;
  facts.has_timings = common.has_timings;
  facts.has_logprobs = request.has_logprobs;
  facts.image_tokens = std::count(request.ids.begin(), request.ids.end(), service.facts().image_id);
  facts.audio_tokens = std::count(request.ids.begin(), request.ids.end(), service.facts().audio_id);

  GenerationRequest generation;
  generation.is_stream = common.is_stream;
  generation.has_progress = common.has_progress;
  generation.deadline = deadline_of(*call);
  for (const MediaPart& part : request.media) generation.media_names.push_back(name_of(part));
  for (std::int64_t i = 0; i < common.n; ++i) {
    generation.sequences.push_back({request.ids, request.media, common.options});
    generation.sequences.back().options.sampling.seed += static_cast<std::uint64_t>(i);
  }
  Generation::start(call, std::move(generation), std::make_unique<ChatFormat>(std::move(facts)));
}

void chat_input_tokens(Call& call) {
  const ChatRequest request = read_chat(call);
  call.note(200, "", "");
  call.reply(json_response(
      node(JsonObject{{"object", node("response.input_tokens")}, {"input_tokens", node(request.ids.size())}})));
}

}  // namespace g3n::server
