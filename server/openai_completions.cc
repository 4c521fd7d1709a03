// POST /v1/completions (spec/server.md 6).
#include <algorithm>
#include <map>

#include "core/utf8.h"
#include "server/endpoints.h"
#include "server/openai_answer.h"
#include "server/sounds.h"
#include "server/token_bytes.h"

namespace g3n::server {
namespace {

constexpr std::size_t kMostPrompts = 128;

std::int64_t characters(const std::string& text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; });
}

// A prompt that is to stand in front of its answers.
struct Echo {
  std::string text;
  std::vector<std::int32_t> ids;
  bool has_added_bos = false;  // which the text does not show
};

class CompletionFormat : public OpenAIFormat {
 public:
  // echoes: one per prompt, or none.
  CompletionFormat(AnswerFacts facts, std::size_t choices, const Engine& engine, std::vector<Echo> echoes)
      : OpenAIFormat(std::move(facts)), engine_(engine), echoes_(std::move(echoes)), offsets_(choices) {}

  JsonNode whole(const std::vector<Result>& results) override {
    JsonList choices;
    for (std::size_t i = 0; i < results.size(); ++i) {
      const Answer& answer = results[i].answer;
      std::vector<TokenEntry> entries;
      if (has_scored_echo()) entries = prompt_entries(i, answer.prompt_logprobs);
      entries.insert(entries.end(), results[i].entries.begin(), results[i].entries.end());
      JsonNode logprobs = logprobs_node(i, entries, has_scored_echo());
      choices.push_back(choice(i, echo_text(i) + answer.text, std::move(logprobs), finish_reason_of(answer)));
    }
    JsonObject answer = head();
    answer.push_back({"choices", node(std::move(choices))});
    answer.push_back({"usage", usage(results)});
    answer.push_back({"g3n", g3n_object(results)});
    if (facts_.has_timings) answer.push_back({"timings", timings_of(results)});
    return node(std::move(answer));
  }
  std::string begin(std::size_t index) override {
    if (echoes_.empty() || has_scored_echo()) return "";
    return frame(choice(index, echo_text(index), node(nullptr), nullptr));
  }
  std::string prompt(std::size_t index, const std::vector<TokenLogprob>& tokens) override {
    JsonNode logprobs = logprobs_node(index, prompt_entries(index, tokens), /*has_unscored_first=*/true);
    return frame(choice(index, echo_text(index), std::move(logprobs), nullptr));
  }
  std::string delta(std::size_t index, const std::string& text, const std::vector<TokenEntry>& entries) override {
    return frame(choice(index, text, logprobs_node(index, entries), nullptr));
  }
  std::string finish(std::size_t index, const Answer& answer) override {
    return frame(choice(index, "", node(nullptr), finish_reason_of(answer)));
  }

 private:
  JsonObject head() const override {
    return {{"id", node(facts_.id)},
            {"object", node("text_completion")},
            {"created", node(facts_.created)},
            {"model", node(facts_.model)},
            {"system_fingerprint", node(facts_.fingerprint)}};
  }
  static JsonNode choice(std::size_t index, const std::string& text, JsonNode logprobs, const char* reason) {
    return node(JsonObject{{"index", node(index)},
                           {"text", node(text)},
                           {"logprobs", std::move(logprobs)},
                           {"finish_reason", reason ? node(reason) : node(nullptr)}});
  }

  const Echo& echo_of(std::size_t index) const { return echoes_[index / (offsets_.size() / echoes_.size())]; }
  std::string echo_text(std::size_t index) const { return echoes_.empty() ? "" : echo_of(index).text; }

  bool has_scored_echo() const { return facts_.has_logprobs && !echoes_.empty(); }

  // All tokens of a prompt, of which the first has no probability.
  std::vector<TokenEntry> prompt_entries(std::size_t index, const std::vector<TokenLogprob>& tokens) {
    const Echo& echo = echo_of(index);
    std::vector<TokenEntry> entries;
    const auto add = [&](const TokenLogprob& token) {
      TokenEntry entry = token_entry(engine_, token);
      if (entry.bytes.empty()) entry.bytes = token_text(engine_, token.id);
      entries.push_back(std::move(entry));
    };
    add({.id = echo.ids.at(0)});
    for (const TokenLogprob& token : tokens) add(token);
    if (echo.has_added_bos) offsets_[index] = -characters(entries[0].bytes);
    return entries;
  }

  JsonNode logprobs_node(std::size_t index, const std::vector<TokenEntry>& entries, bool has_unscored_first = false) {
    if (!facts_.has_logprobs) return node(nullptr);
    JsonList tokens, token_logprobs, tops, offsets;
    for (const TokenEntry& entry : entries) {
      const std::string text = utf8_repaired(entry.bytes);
      tokens.push_back(node(text));
      offsets.push_back(node(std::max<std::int64_t>(0, offsets_[index])));
      offsets_[index] += characters(text);
      if (has_unscored_first && tokens.size() == 1) {
        token_logprobs.push_back(node(nullptr));
        tops.push_back(node(nullptr));
        continue;
      }
      token_logprobs.push_back(logprob_node(entry.logprob));
      std::map<std::string, float> best;  // equal texts of different ids keep the larger
      for (const auto& [bytes, logprob] : entry.top) {
        const auto [place, is_new] = best.emplace(utf8_repaired(bytes), logprob);
        if (!is_new) place->second = std::max(place->second, logprob);
      }
      const auto [own, is_new] = best.emplace(text, entry.logprob);
      if (!is_new) own->second = std::max(own->second, entry.logprob);
      JsonObject top;
      for (const auto& [name, logprob] : best) top.push_back({name, logprob_node(logprob)});
      tops.push_back(node(std::move(top)));
    }
    return node(JsonObject{{"tokens", node(std::move(tokens))},
                           {"token_logprobs", node(std::move(token_logprobs))},
                           {"top_logprobs", node(std::move(tops))},
                           {"text_offset", node(std::move(offsets))}});
  }

  const Engine& engine_;
  const std::vector<Echo> echoes_;
  std::vector<std::int64_t> offsets_;  // of each choice, in characters
};

std::vector<std::int32_t> ids_of(const JsonList& list, const std::string& path, const Service& service) {
  const std::int64_t vocab_size = service.engine().info().vocab_size;
  expect_fits(list.size(), service.facts(), path);
  std::vector<std::int32_t> ids;
  for (std::size_t i = 0; i < list.size(); ++i)
    ids.push_back(
        static_cast<std::int32_t>(integer_at(list[i], path + "[" + std::to_string(i) + "]", 0, vocab_size - 1)));
  if (ids.empty()) fail_value(path, "at least one token id", "none");
  return ids;
}

// What stands behind a request's placeholders, in their order, which may be of both kinds.
struct PromptMedia {
  std::vector<MediaPart> parts;    // a sound of more than one clip is several
  std::vector<std::size_t> clips;  // of each sound
};

std::vector<MediaPart> read_media(Fields& fields, const Service& service, int image_size) {
  MediaRules rules = service.media_rules();
  rules.image_size = image_size;
  std::vector<MediaPart> media;
  const std::pair<const char*, MediumKind> kinds[] = {{"images", MediumKind::kImage}, {"audio", MediumKind::kAudio}};
  for (const auto& [name, kind] : kinds) {
    const JsonNode* value = fields.find(name);
    if (!value) continue;
    const JsonList& list = list_at(*value, name, SIZE_MAX);
    for (std::size_t i = 0; i < list.size(); ++i) {
      const std::string path = std::string(name) + "[" + std::to_string(i) + "]";
      expect_few_media(media.size() + 1, path, rules);
      media.push_back(read_medium(text_at(list[i], path), path, kind, rules));
    }
  }
  return media;
}

[[noreturn]] void fail_placeholders(const std::string& path) {
  fail_value(path, "one placeholder (<image_soft_token>, <audio_soft_token>) for each medium of images and audio",
             "another number of them");
}

// Each placeholder of a sound as many times as the sound has clips.
std::string with_all_clips(const std::string& text, const std::string& path, const Service& service,
                           const PromptMedia& media) {
  if (media.clips.empty()) return text;
  const std::string& placeholder = service.engine().info().tokens.audio;
  std::string out;
  std::size_t from = 0;
  for (const std::size_t clips : media.clips) {
    const std::size_t at = text.find(placeholder, from);
    if (at == std::string::npos) fail_placeholders(path);
    out += text.substr(from, at - from);
    for (std::size_t i = 0; i < clips; ++i) out += placeholder;
    from = at + placeholder.size();
  }
  if (text.find(placeholder, from) != std::string::npos) fail_placeholders(path);
  return out + text.substr(from);
}

std::vector<std::int32_t> tokenize_text(const Service& service, const std::string& text, const std::string& path,
                                        const PromptMedia& media) {
  expect_may_fit(text.size(), service.facts(), path);
  try {
    return service.engine().tokenize(RawPrompt{with_all_clips(text, path, service, media), media.parts});
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInvalidArgument) throw;
    fail_placeholders(path);
  }
}

// Ids that were sent as such hold the soft tokens of their media.
void expect_soft_tokens(const std::vector<std::int32_t>& ids, const std::string& path, const Service& service,
                        const PromptMedia& media) {
  std::string placeholders;
  for (const MediaPart& part : media.parts)
    placeholders += std::holds_alternative<ImagePart>(part) ? "<image_soft_token>" : "<audio_soft_token>";
  std::vector<std::int32_t> wanted;
  if (!media.parts.empty()) wanted = service.engine().tokenize(RawPrompt{placeholders, media.parts});
  for (const std::int32_t soft : {service.facts().image_id, service.facts().audio_id}) {
    const auto want = std::count(wanted.begin(), wanted.end(), soft), found = std::count(ids.begin(), ids.end(), soft);
    if (want != found)
      fail_value(path,
                 std::to_string(want) + " soft tokens " + std::to_string(soft) + " for " +
                     std::to_string(media.parts.size()) + " pictures and clips of sound",
                 std::to_string(found));
  }
}

bool is_list_of_prompts(const JsonNode& value) {
  const JsonList* list = value.list();
  return list && !list->empty() && (list->front().text() || list->front().list());
}

std::vector<std::int32_t> read_prompt(const JsonNode& value, const std::string& path, const Service& service,
                                      const PromptMedia& media) {
  if (!value.text() && !value.list()) fail_type(path, "a string or a list of token ids", value);
  std::vector<std::int32_t> ids =
      value.text() ? tokenize_text(service, *value.text(), path, media) : ids_of(*value.list(), path, service);
  expect_fits(ids.size(), service.facts(), path);
  expect_soft_tokens(ids, path, service, media);
  return ids;
}

std::vector<std::vector<std::int32_t>> read_prompts(const JsonNode& value, const Service& service,
                                                    const PromptMedia& media) {
  if (!value.text() && !value.list()) fail_type("prompt", "a string, a list of strings, or token ids", value);
  if (value.list() && value.list()->empty()) fail_value("prompt", "at least one prompt", "none");
  if (!is_list_of_prompts(value)) return {read_prompt(value, "prompt", service, media)};
  const JsonList& list = list_at(value, "prompt", kMostPrompts);
  if (!media.parts.empty() && list.size() > 1)
    fail_value("prompt", "one prompt, since it has media", std::to_string(list.size()));
  std::vector<std::vector<std::int32_t>> prompts;
  for (std::size_t i = 0; i < list.size(); ++i)
    prompts.push_back(read_prompt(list[i], "prompt[" + std::to_string(i) + "]", service, media));
  return prompts;
}

// What was sent, in the order of the prompts.
std::vector<Echo> echoes_of(const JsonNode& prompt, const Service& service,
                            const std::vector<std::vector<std::int32_t>>& prompts) {
  const bool is_list = is_list_of_prompts(prompt);
  std::vector<Echo> echoes;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    const JsonNode& sent = is_list ? (*prompt.list())[i] : prompt;
    const bool is_text = sent.text() != nullptr;
    const std::string text = is_text ? *sent.text() : service.engine().decode(prompts[i], /*skip_special=*/false);
    echoes.push_back({text, prompts[i], is_text && !text.starts_with(service.facts().bos)});
  }
  return echoes;
}

}  // namespace

void completions(const std::shared_ptr<Call>& call) {
  const Service& service = call->service;
  const JsonNode body = parse_body(call->request.body);
  Fields fields(body, "");
  OpenAIRequest request;
  request.prompt_name = "prompt";
  CommonFields& common = request.common;
  common = read_common_fields(fields, service);
  if (common.options.max_tokens < 0) common.options.max_tokens = 16;
  const bool has_echo = fields.boolean("echo").value_or(false);
  fields.refuse("suffix", "Gemma 3n has no infilling");
  if (const auto best_of = fields.integer("best_of", 1, 16); best_of && *best_of != common.n)
    fail_unsupported("best_of", "only a best_of equal to n is supported");
  if (const JsonNode* logprobs = fields.find("logprobs")) {
    const bool* flag = logprobs->boolean();
    request.has_logprobs = !flag || *flag;
    if (request.has_logprobs)
      common.options.logprobs = flag ? 1 : static_cast<int>(integer_at(*logprobs, "logprobs", 0, 20));
  }
  if (has_echo) common.options.prompt_logprobs = common.options.logprobs;
  PromptMedia media{read_media(fields, service, common.image_size), {}};
  const JsonNode& prompt = fields.required("prompt");
  call->ignored = fields.ignored(service.options.is_strict);
  media.clips = decode_sounds(*call, media.parts);
  request.prompts = read_prompts(prompt, service, media);
  request.media = std::move(media.parts);
  std::vector<Echo> echoes;
  if (has_echo) echoes = echoes_of(prompt, service, request.prompts);
  call->request.body.clear();
  call->request.body.shrink_to_fit();

  GenerationRequest generation = generation_of(*call, request);
  generation.has_all_entries = has_echo && request.has_logprobs;
  const std::size_t choices = generation.sequences.size();
  Generation::start(call, std::move(generation),
                    std::make_unique<CompletionFormat>(AnswerFacts(service, request, "cmpl-"), choices,
                                                       service.engine(), std::move(echoes)));
}

}  // namespace g3n::server
