#include "server/sampling_fields.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <random>

namespace g3n::server {
namespace {

constexpr std::int64_t kMostTokens = INT64_MAX / 2;

// Below 2^53, so that JSON in a browser keeps it.
std::uint64_t random_seed() {
  std::random_device device;
  return (static_cast<std::uint64_t>(device()) << 32 | device()) >> 11;
}

void read_sampling(Fields& fields, const ModelFacts& facts, std::int64_t vocab_size, AnswerOptions& options) {
  Sampling& s = options.sampling;
  s.temperature = fields.number("temperature", 0, 2).value_or(s.temperature);
  s.top_p = fields.number("top_p", 0, 1).value_or(s.top_p);
  if (s.top_p <= 0) fail_value("top_p", "a number above 0, at most 1", "0");
  if (const auto top_k = fields.integer("top_k", -1, INT32_MAX))
    s.top_k = static_cast<int>(std::max<std::int64_t>(0, *top_k));
  s.min_p = fields.number("min_p", 0, 1).value_or(s.min_p);
  s.repetition_penalty = fields.number("repetition_penalty", 1e-3, 1e3).value_or(s.repetition_penalty);
  s.repetition_penalty = fields.number("repeat_penalty", 1e-3, 1e3).value_or(s.repetition_penalty);
  s.presence_penalty = fields.number("presence_penalty", -2, 2).value_or(0);
  s.frequency_penalty = fields.number("frequency_penalty", -2, 2).value_or(0);
  const auto seed = fields.integer("seed", INT64_MIN, INT64_MAX);
  s.seed = seed && *seed != -1 ? static_cast<std::uint64_t>(*seed) : random_seed();
  options.min_tokens = fields.integer("min_tokens", 0, facts.context).value_or(0);

  const auto expect_id = [&](std::int64_t id, const std::string& path) {
    if (id < 0 || id >= vocab_size)
      fail_value(path, "a token id from 0 to " + std::to_string(vocab_size - 1), std::to_string(id));
    return static_cast<std::int32_t>(id);
  };
  if (const JsonNode* bias = fields.find("logit_bias")) {
    const JsonObject& map = object_at(*bias, "logit_bias");
    if (map.size() > 1024) fail_value("logit_bias", "at most 1024 entries", std::to_string(map.size()));
    for (const auto& [key, value] : map) {
      std::int64_t id = -1;
      const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
      if (error != std::errc() || end != key.data() + key.size())
        fail_value("logit_bias", "token ids as keys", quoted(key));
      const std::string path = "logit_bias." + key;
      const std::int32_t token = expect_id(id, path);
      const double amount = number_at(value, path, -100, 100);
      if (amount == -100)
        options.banned_ids.push_back(token);
      else
        options.logit_bias.emplace_back(token, static_cast<float>(amount));
    }
    std::sort(options.logit_bias.begin(), options.logit_bias.end());
    for (std::size_t i = 1; i < options.logit_bias.size(); ++i)  // "7" and "07"
      if (options.logit_bias[i].first == options.logit_bias[i - 1].first)
        fail_value("logit_bias", "each token id once", std::to_string(options.logit_bias[i].first) + " twice");
  }
  if (const JsonNode* ids = fields.find("stop_token_ids")) {
    const JsonList& list = list_at(*ids, "stop_token_ids", 1024);
    for (std::size_t i = 0; i < list.size(); ++i) {
      const std::string path = "stop_token_ids[" + std::to_string(i) + "]";
      options.extra_stop_ids.push_back(expect_id(integer_at(list[i], path, INT64_MIN, INT64_MAX), path));
    }
  }
  if (fields.boolean("ignore_eos").value_or(false)) {  // only those of the checkpoint are meant
    options.stop_ids = std::move(options.extra_stop_ids);
    options.extra_stop_ids.clear();
    options.ignore_stop_ids = options.stop_ids.empty();
  }
}

void read_stops(Fields& fields, AnswerOptions& options) {
  constexpr std::size_t kMostStops = 64, kMostBytes = 256;
  const JsonNode* stop = fields.find("stop");
  if (!stop) return;
  const auto add = [&](const std::string& text, const std::string& path) {
    if (text.empty() || text.size() > kMostBytes)
      fail_value(path, "a string of 1 to 256 bytes", "one of " + std::to_string(text.size()));
    options.stop.push_back(text);
  };
  if (stop->text()) return add(*stop->text(), "stop");
  if (!stop->list()) fail_type("stop", "a string or a list of strings", *stop);
  const JsonList& list = list_at(*stop, "stop", kMostStops);
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string path = "stop[" + std::to_string(i) + "]";
    add(text_at(list[i], path), path);
  }
}

void read_stream(Fields& fields, CommonFields& common) {
  common.is_stream = fields.boolean("stream").value_or(false);
  if (const JsonNode* options = fields.find("stream_options")) {
    if (!common.is_stream) fail_value("stream_options", "stream: true beside it", "no stream");
    Fields inner(*options, "stream_options");
    common.has_usage = inner.boolean("include_usage").value_or(false);
    fields.take_ignored(inner);
  }
  common.has_timings = fields.boolean("timings").value_or(false);
  common.has_progress = fields.boolean("return_progress").value_or(false);
}

// Fields of this API that this build does not honour, and those of others that change nothing at one value.
void read_the_rest(Fields& fields) {
  const char* no_grammar = "structured output is not supported by this build";
  if (const JsonNode* format = fields.find("response_format")) {
    Fields inner(*format, "response_format");
    if (text_at(inner.required("type"), "response_format.type") != "text")
      fail_unsupported("response_format", no_grammar);
    fields.take_ignored(inner);
  }
  for (const char* name : {"guided_json", "guided_regex", "guided_choice", "guided_grammar", "structured_outputs",
                           "json_schema", "grammar", "regex", "choice"})
    fields.refuse(name, no_grammar);
  for (const char* name : {"tools", "tool_choice"})
    fields.refuse(name, "calls of tools are not supported by this build");
  fields.ignore("parallel_tool_calls");
  for (const char* name : {"functions", "function_call"}) fields.refuse(name, "this field is not supported: use tools");
  for (const char* name : {"web_search_options", "moderation"}) fields.refuse(name, "this server has no such service");
  for (const char* name : {"slice", "adapter"}) fields.refuse(name, "this build has no slices and no adapters");
  if (const JsonNode* modalities = fields.find("modalities")) {
    const JsonList& list = list_at(*modalities, "modalities", 16);
    for (std::size_t i = 0; i < list.size(); ++i)
      if (text_at(list[i], "modalities[" + std::to_string(i) + "]") != "text")
        fail_unsupported("modalities", "Gemma 3n answers in text alone");
  }
  if (const JsonNode* kwargs = fields.find("chat_template_kwargs")) {
    for (const auto& [key, value] : object_at(*kwargs, "chat_template_kwargs"))
      if (key != "enable_thinking")
        fail_unsupported("chat_template_kwargs", "the template has no option " + quoted(key));
    fields.ignore("chat_template_kwargs");
  }
  for (const char* name :
       {"prediction", "verbosity", "reasoning_effort", "store", "metadata", "user", "safety_identifier", "service_tier",
        "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "reasoning", "thinking",
        "enable_thinking", "cache_prompt", "id_slot"})
    fields.ignore(name);
  const std::pair<const char*, double> neutral[] = {{"typical_p", 1},      {"typical", 1},         {"mirostat", 0},
                                                    {"dry_multiplier", 0}, {"xtc_probability", 0}, {"top_n_sigma", -1},
                                                    {"dynatemp_range", 0}, {"tfs_z", 1},           {"top_a", 0},
                                                    {"length_penalty", 1}, {"use_beam_search", 0}};
  for (const auto& [name, value] : neutral) fields.neutral(name, value);
  for (const char* name : {"mirostat_tau", "mirostat_eta", "dry_base", "dry_allowed_length", "dry_penalty_last_n",
                           "dry_sequence_breakers", "xtc_threshold", "dynatemp_exponent"})
    fields.ignore(name);
}

}  // namespace

CommonFields read_common_fields(Fields& fields, const Service& service) {
  service.check_model(fields);
  CommonFields common;
  common.options.sampling = service.engine().default_sampling();
  for (const char* name : {"max_tokens", "max_completion_tokens"}) {
    const auto most = fields.integer(name, -1, kMostTokens);
    if (most && *most >= 0)
      common.options.max_tokens = common.options.max_tokens < 0 ? *most : std::min(common.options.max_tokens, *most);
  }
  read_sampling(fields, service.facts(), service.engine().info().vocab_size, common.options);
  read_stops(fields, common.options);
  common.options.cache_salt = fields.text("cache_salt").value_or("");
  common.n = fields.integer("n", 1, 16).value_or(1);
  read_stream(fields, common);
  const std::int64_t most_size =
      std::max<std::int64_t>(service.options.limits.image_size, service.engine().info().image_size);
  common.image_size = static_cast<int>(fields.integer("image_size", kLeastImageSide, most_size).value_or(0));
  read_the_rest(fields);
  return common;
}

void expect_may_fit(std::size_t bytes, const ModelFacts& facts, const std::string& param) {
  const std::size_t least = bytes / facts.longest_piece;
  if (least <= static_cast<std::size_t>(facts.context)) return;
  throw ApiError(400, "context_length_exceeded",
                 "the maximum context length is " + std::to_string(facts.context) +
                     " tokens, the prompt has at least " + std::to_string(least),
                 param);
}

void expect_fits(std::size_t tokens, const ModelFacts& facts, const std::string& param) {
  if (tokens > static_cast<std::size_t>(facts.context)) throw too_long(tokens, facts, param);
}

ApiError too_long(std::size_t tokens, const ModelFacts& facts, const std::string& param) {
  return ApiError(400, "context_length_exceeded",
                  "this model's maximum context length is " + std::to_string(facts.context) +
                      " tokens, the prompt has " + std::to_string(tokens),
                  param);
}

std::chrono::milliseconds deadline_of(const Call& call) {
  std::chrono::milliseconds deadline = call.service.options.request_timeout;
  if (const std::string* header = call.request.header("x-request-timeout-ms")) {
    std::int64_t ms = 0;
    const auto [end, error] = std::from_chars(header->data(), header->data() + header->size(), ms);
    if (error != std::errc() || end != header->data() + header->size() || ms < 1)
      fail_value("x-request-timeout-ms", "a number of milliseconds", quoted(*header));
    ms = std::min(ms, kMostMilliseconds);
    if (deadline.count() == 0 || ms < deadline.count()) deadline = std::chrono::milliseconds(ms);
  }
  return deadline;
}

const char* finish_reason_of(const Answer& answer) {
  return answer.finish_reason == FinishReason::kStop ? "stop" : "length";
}

JsonNode usage_of(const std::vector<Result>& results, std::size_t prompts, std::int64_t image_tokens,
                  std::int64_t audio_tokens) {
  const std::size_t choices = std::max<std::size_t>(1, results.size() / std::max<std::size_t>(1, prompts));
  std::int64_t prompt = 0, cached = 0, completion = 0;
  for (std::size_t i = 0; i < results.size(); ++i) {
    const Answer& answer = results[i].answer;
    completion += static_cast<std::int64_t>(answer.ids.size());
    if (i % choices != 0) continue;  // a prompt counts once
    prompt += answer.prompt_tokens;
    cached += std::max<std::int64_t>(0, answer.prompt_tokens - answer.timings.prefilled_tokens);
  }
  return node(JsonObject{
      {"prompt_tokens", node(prompt)},
      {"completion_tokens", node(completion)},
      {"total_tokens", node(prompt + completion)},
      {"prompt_tokens_details", node(JsonObject{{"cached_tokens", node(cached)},
                                                {"cache_write_tokens", node(0)},
                                                {"audio_tokens", node(audio_tokens)},
                                                {"image_tokens", node(image_tokens)},
                                                {"text_tokens", node(prompt - image_tokens - audio_tokens)}})},
      {"completion_tokens_details", node(JsonObject{{"reasoning_tokens", node(0)},
                                                    {"audio_tokens", node(0)},
                                                    {"accepted_prediction_tokens", node(0)},
                                                    {"rejected_prediction_tokens", node(0)}})}});
}

JsonNode g3n_object(const std::vector<Result>& results) {
  const Answer& first = results.at(0).answer;
  const auto ms = [](double seconds) { return node(std::llround(seconds * 1000)); };
  return node(JsonObject{{"seed", node(first.seed)},
                         {"slice", node(nullptr)},
                         {"queue_ms", ms(first.timings.queue_seconds)},
                         {"prompt_ms", ms(first.timings.encode_seconds + first.timings.prefill_seconds)},
                         {"decode_ms", ms(first.timings.decode_seconds)}});
}

JsonNode timings_of(const std::vector<Result>& results) {
  const Answer& first = results.at(0).answer;
  const double prompt = first.timings.encode_seconds + first.timings.prefill_seconds,
               decode = first.timings.decode_seconds;
  const auto per_second = [](double count, double seconds) { return node(seconds > 0 ? count / seconds : 0.0); };
  const auto tokens = static_cast<std::int64_t>(first.ids.size());
  return node(
      JsonObject{{"cache_n", node(std::max<std::int64_t>(0, first.prompt_tokens - first.timings.prefilled_tokens))},
                 {"prompt_n", node(first.timings.prefilled_tokens)},
                 {"prompt_ms", node(prompt * 1000)},
                 {"prompt_per_second", per_second(static_cast<double>(first.timings.prefilled_tokens), prompt)},
                 {"predicted_n", node(tokens)},
                 {"predicted_ms", node(decode * 1000)},
                 {"predicted_per_second", per_second(static_cast<double>(tokens - 1), decode)}});
}

JsonNode logprob_node(float logprob) { return node(std::isfinite(logprob) ? static_cast<double>(logprob) : -9999.0); }

}  // namespace g3n::server
