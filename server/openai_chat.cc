// POST /v1/chat/completions (spec/server.md 5) and .../input_tokens.
#include "core/utf8.h"
#include "server/endpoints.h"
#include "server/openai_answer.h"
#include "server/sounds.h"

namespace g3n::server {
namespace {

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

class ChatFormat : public OpenAIFormat {
 public:
  using OpenAIFormat::OpenAIFormat;

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
    if (facts_.has_timings) answer.push_back({"timings", timings_of(results)});
    return node(std::move(answer));
  }

  std::string begin(std::size_t index) override {
    return frame(choice(index, JsonObject{{"role", node("assistant")}, {"content", node("")}}, node(nullptr), nullptr));
  }
  std::string delta(std::size_t index, const std::string& text, const std::vector<TokenEntry>& entries) override {
    return frame(choice(index, JsonObject{{"content", node(text)}},
                        facts_.has_logprobs ? logprobs_node(entries) : node(nullptr), nullptr));
  }
  std::string finish(std::size_t index, const Answer& answer) override {
    return frame(choice(index, JsonObject{}, node(nullptr), finish_reason_of(answer)));
  }

 private:
  JsonObject head() const override {
    return {{"id", node(facts_.id)},           {"object", node("chat.completion.chunk")},
            {"created", node(facts_.created)}, {"model", node(facts_.model)},
            {"service_tier", node("default")}, {"system_fingerprint", node(facts_.fingerprint)}};
  }
  static JsonNode choice(std::size_t index, JsonObject delta, JsonNode logprobs, const char* reason) {
    return node(JsonObject{{"index", node(index)},
                           {"delta", node(std::move(delta))},
                           {"logprobs", std::move(logprobs)},
                           {"finish_reason", reason ? node(reason) : node(nullptr)}});
  }
};

std::size_t text_bytes(const ChatPrompt& prompt) {
  std::size_t bytes = 0;
  for (const Message& message : prompt.messages)
    for (const Part& part : message.parts)
      if (const auto* text = std::get_if<TextPart>(&part)) bytes += text->text.size();
  return bytes;
}

// Everything that can be wrong with the request but what is inside its media.
OpenAIRequest read_chat(Call& call) {
  const Service& service = call.service;
  const JsonNode body = parse_body(call.request.body);
  Fields fields(body, "");
  OpenAIRequest request;
  request.prompt_name = "messages";
  request.common = read_common_fields(fields, service);
  fields.refuse("audio", "Gemma 3n makes no sound");
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
  ApiChat chat = read_messages(fields.required("messages"), add_generation_prompt, continue_final_message, rules);
  call.ignored = fields.ignored(service.options.is_strict);
  take_ignored(chat, service.options.is_strict, call.ignored);

  expect_may_fit(text_bytes(chat.prompt), service.facts(), "messages");
  decode_sounds(call, chat.prompt);
  IdsPrompt prompt = service.engine().as_ids(chat.prompt);
  request.prompts.push_back(std::move(prompt.ids));
  expect_fits(request.prompts[0].size(), service.facts(), "messages");
  request.media = std::move(prompt.media);
  request.likely_ends = std::move(prompt.likely_ends);
  return request;
}

}  // namespace

void chat_completions(const std::shared_ptr<Call>& call) {
  OpenAIRequest request = read_chat(*call);
  call->request.body.clear();
  call->request.body.shrink_to_fit();
  Generation::start(call, generation_of(*call, request),
                    std::make_unique<ChatFormat>(AnswerFacts(call->service, request, "chatcmpl-")));
}

void chat_input_tokens(Call& call) {
  const OpenAIRequest request = read_chat(call);
  call.note(200, "", "");
  call.reply(json_response(
      node(JsonObject{{"object", node("response.input_tokens")}, {"input_tokens", node(request.prompts[0].size())}})));
}

}  // namespace g3n::server
